// SPDX-License-Identifier: GPL-2.0-only
/*
 * FOR TESTS ONLY: fences that an exporter has to await.
 */

#include <linux/dma-buf.h>
#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/slab.h>

#include "compat.h"
#include "importer.h"

static const char *importer_fence_name(struct dma_fence *fence)
{
	return "peermr_test_importer";
}

/* Neither wait nor release: so the fence forgets these, and us, once it has signalled. */
static const struct dma_fence_ops importer_fence_ops = {
	.get_driver_name = importer_fence_name,
	.get_timeline_name = importer_fence_name,
};

void importer_fence_signal(struct importer *imp)
{
	struct dma_fence *fence;

	spin_lock(&imp->lock);
	fence = imp->fence;
	imp->fence = NULL;
	spin_unlock(&imp->lock);
	if (!fence)
		return;
	dma_fence_signal(fence);
	dma_fence_put(fence);
}

static void importer_fence_work(struct work_struct *work)
{
	struct importer *imp = container_of(to_delayed_work(work), struct importer, fence_work);

	if (!importer_too_early(&imp->fence_work, imp->fence_at))
		importer_fence_signal(imp);
}

void importer_fence_init(struct importer *imp)
{
	imp->fence_context = dma_fence_context_alloc(1);
	INIT_DELAYED_WORK(&imp->fence_work, importer_fence_work);
}

/* dma_resv is held. Without memory there is no fence, and the test sees it in the count. */
void importer_fence_add(struct importer *imp)
{
	struct dma_resv *resv = importer_resv(imp);
	struct dma_fence *fence;
	bool added = false;

	dma_resv_assert_held(resv);
	if (imp->how.fence == TEST_IMPORTER_FENCE_NONE || dma_resv_reserve_fences(resv, 1))
		return;
	fence = kzalloc_obj(*fence);
	if (!fence)
		return;
	dma_fence_init(fence, &importer_fence_ops, NULL, imp->fence_context,
		       imp->counts.fences + 1);

	spin_lock(&imp->lock);
	if (!imp->closing && !imp->fence) {
		imp->fence = dma_fence_get(fence);
		imp->counts.fences++;
		added = true;
	}
	spin_unlock(&imp->lock);
	if (added) {
		dma_resv_add_fence(resv, fence, DMA_RESV_USAGE_BOOKKEEP);
		if (imp->how.fence == TEST_IMPORTER_FENCE_LATE)
			importer_delay(&imp->fence_work, &imp->fence_at, imp->how.fence_ms);
	} else {
		dma_fence_signal(fence);
	}
	dma_fence_put(fence);
}

/* From now on dma_resv can be had: nobody holds it to wait for us. */
void importer_close(struct importer *imp)
{
	spin_lock(&imp->lock);
	imp->closing = true;
	spin_unlock(&imp->lock);
	importer_fence_signal(imp);
}
