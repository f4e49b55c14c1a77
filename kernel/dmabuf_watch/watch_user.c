// SPDX-License-Identifier: GPL-2.0-only
/*
 * Watches are kernel memory and make each invalidate of their buffer a little longer, so every user
 * gets only so many. Counted by kuid: a user namespace gains nothing but the ids mapped into it.
 */

#include <linux/cred.h>
#include <linux/hashtable.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "compat.h"
#include "watch.h"

static unsigned int per_user = 1024;
module_param(per_user, uint, 0644);
MODULE_PARM_DESC(per_user, "watches that one user may have");

struct watch_user {
	struct hlist_node node;
	kuid_t uid;
	unsigned int count;
};

static DEFINE_HASHTABLE(watch_users, 6);
/* Protects the table and its counts. */
static DEFINE_MUTEX(watch_users_lock);

static struct watch_user *watch_user_find(kuid_t uid)
{
	struct watch_user *user;

	lockdep_assert_held(&watch_users_lock);
	hash_for_each_possible(watch_users, user, node, __kuid_val(uid))
		if (uid_eq(user->uid, uid))
			return user;
	return NULL;
}

/* One more watch for the caller. -EDQUOT, -ENOMEM. */
struct watch_user *watch_user_charge(void)
{
	kuid_t uid = current_uid();
	struct watch_user *user;

	guard(mutex)(&watch_users_lock);
	user = watch_user_find(uid);
	if ((user ? user->count : 0) >= READ_ONCE(per_user))
		return ERR_PTR(-EDQUOT);
	if (!user) {
		user = kzalloc_obj(*user, GFP_KERNEL_ACCOUNT);
		if (!user)
			return ERR_PTR(-ENOMEM);
		user->uid = uid;
		hash_add(watch_users, &user->node, __kuid_val(uid));
	}
	user->count++;
	return user;
}

void watch_user_uncharge(struct watch_user *user)
{
	guard(mutex)(&watch_users_lock);
	if (--user->count)
		return;
	hash_del(&user->node);
	kfree(user);
}
