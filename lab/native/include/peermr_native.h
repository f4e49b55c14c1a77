/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The test side of the uverbs double: dma-bufs that a test can take away.
 *
 * Under peermr-native every regular file that can be mapped (memfd_create(2) makes one) does for a
 * dma-buf: ibv_reg_dmabuf_mr() takes its descriptor. What an exporter would do with it is done by
 * these functions, which programs find with dlsym(RTLD_DEFAULT, …); without the double there are none.
 */
#ifndef PEERMR_NATIVE_H
#define PEERMR_NATIVE_H

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Revokes: when it returns, no NIC reaches the file's pages through any MR of this process. Faults
 * are answered with "not now" until the restore. Returns 0, or EBADF. Blocks for the fences.
 */
int peermr_native_dmabuf_revoke(int fd);

/* Gives it back: MRs are valid again when it returns. 0, EBADF, or ENODEV after a kill. */
int peermr_native_dmabuf_restore(int fd);

/* Revokes for good: later accesses fail. 0 or EBADF. */
int peermr_native_dmabuf_kill(int fd);

/*
 * Statistics of the NIC behind an open context's command descriptor (ibv_context::cmd_fd): `counter`
 * is one of enum pnic_stat. 0, EBADF, EINVAL, or what the device says.
 */
int peermr_native_stat(int cmd_fd, unsigned int counter, unsigned long long *value);

#ifdef __cplusplus
}
#endif

#endif
