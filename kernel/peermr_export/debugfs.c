// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/kernel/debug/peermr_export/<device>: a line for the device, then one for
 * each buffer. The dma-buf core owns fdinfo, so it can't say this there.
 */

#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "internal.h"

static struct dentry *peermr_debugfs_root;

static const char *const peermr_state_names[] = {
	[PEERMR_EXPORT_LIVE] = "live",
	[PEERMR_EXPORT_REVOKED] = "revoked",
	[PEERMR_EXPORT_HELD] = "held",
	[PEERMR_EXPORT_DEAD] = "dead",
};

static void peermr_debugfs_buffer(struct seq_file *file,
				  const struct peermr_buffer *buffer)
{
	seq_printf(file,
		   "buffer inode %llu bar %u bytes %zu ranges %u flags 0x%x %s%s revokes %llu restores %llu invalidates %llu mappings %d mapped %llu faults %lld waiting %d\n",
		   (u64)file_inode(buffer->dmabuf->file)->i_ino, buffer->bar,
		   buffer->size, buffer->nr_ranges, READ_ONCE(buffer->flags),
		   peermr_state_names[peermr_buffer_state(buffer)],
		   buffer->read_only ? " read-only" : "",
		   READ_ONCE(buffer->revokes), READ_ONCE(buffer->restores),
		   READ_ONCE(buffer->invalidates),
		   atomic_read(&buffer->mappings), READ_ONCE(buffer->mapped),
		   atomic64_read(&buffer->faults),
		   atomic_read(&buffer->waiters));
}

static int peermr_device_show(struct seq_file *file, void *unused)
{
	struct peermr_exporter *exporter = file->private;
	const struct peermr_buffer *buffer;

	mutex_lock(&exporter->lock);
	seq_printf(file,
		   "device %s why 0x%x claimed 0x%x combining 0x%x revokes %llu restores %llu late %llu buffers %u%s%s\n",
		   exporter->open ? "open" : "closed", exporter->reasons,
		   exporter->claimed, exporter->combining, exporter->revokes,
		   exporter->restores, exporter->late_revokes,
		   exporter->nr_buffers,
		   READ_ONCE(exporter->waiting) ? " waiting" : "",
		   exporter->is_private ? " private" : "");
	list_for_each_entry(buffer, &exporter->buffers, node)
		peermr_debugfs_buffer(file, buffer);
	mutex_unlock(&exporter->lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(peermr_device);

void peermr_debugfs_init(void)
{
	peermr_debugfs_root = debugfs_create_dir("peermr_export", NULL);
}

void peermr_debugfs_exit(void)
{
	debugfs_remove(peermr_debugfs_root);
}

void peermr_debugfs_add(struct peermr_exporter *exporter)
{
	exporter->debugfs = debugfs_create_file(exporter->name, 0400,
						peermr_debugfs_root, exporter,
						&peermr_device_fops);
}

/* Waits for readers. */
void peermr_debugfs_remove(struct peermr_exporter *exporter)
{
	debugfs_remove(exporter->debugfs);
}
