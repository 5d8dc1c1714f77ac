/*
 * Who may write to a group: messages.md 3.2, rest.md C.9. msg_verify.c calls it for each batch. A sender who may write as far as the cache
 * knows costs nothing; all others are asked for in two queries, and the store's word of now counts.
 */
#include "logic_cache.h"
#include "msg.h"
#include "msg_options.h"
#include "rpc.h"

#include <string.h>

/* A group and one who writes to it, as the store says. */
struct writer {
    char *group_id, *user_id;
    bool exists;                /* the group */
    struct logic_member member; /* role 0: no member */
};

struct writers {
    struct writer *list;
    size_t n;
    bool failed;
};

/* 0, or why not. */
static int refusal(const struct msg_entry *entry, const struct logic_member *m)
{
    if (m->status == LOGIC_GROUP_DISMISSED) return OIM_C_DISMISSED;
    if (entry->admin || m->role == LOGIC_ROLE_OWNER) return 0;
    if (m->role == 0) return OIM_C_NOT_IN_GROUP;
    if (m->mute_end >= oim_now_ms()) return OIM_C_MUTED_MEMBER;
    return m->status == LOGIC_GROUP_MUTED && m->role != LOGIC_ROLE_ADMIN ? OIM_C_MUTED_GROUP : 0;
}

static struct writer *writer_find(const struct writers *w, const char *group_id, const char *user_id)
{
    for (size_t i = 0; i < w->n; i++) {
        if (strcmp(w->list[i].group_id, group_id) == 0 && strcmp(w->list[i].user_id, user_id) == 0) return &w->list[i];
    }
    return NULL;
}

static bool is_ours(const struct msg_entry *entry)
{
    return entry->up->source != OPENIM__INTERNAL__SOURCE__SERVER && entry->outcome != MSG_REFUSED && entry->msg->sessiontype == LOGIC_SESSION_GROUP;
}

/* A refusal is never taken from the cache: who has just joined is not kept out by a letter that is late. */
static void collect(struct msg_lane *lane, struct writers *w, const struct msg_entry *entry)
{
    Openim__Sdkws__MsgData *msg = entry->msg;
    struct logic_member m;

    if (logic_cache_member(lane->cache, msg->groupid, msg->sendid, &m) && refusal(entry, &m) == 0) return;
    if (writer_find(w, msg->groupid, msg->sendid) == NULL) w->list[w->n++] = (struct writer){.group_id = msg->groupid, .user_id = msg->sendid};
}

static int load_groups(struct msg_lane *lane, struct writers *w)
{
    static const char head[] = "SELECT group_id, status FROM chat_groups WHERE group_id IN";
    struct oim_arena *a = lane->base.arena;
    char **ids = oim_arena_alloc(a, w->n * sizeof(*ids));
    struct oim_sql_rows rows = {0};
    int err;

    for (size_t i = 0; i < w->n; i++) ids[i] = w->list[i].group_id;
    err = logic_sql_in(&lane->base, head, NULL, 0, logic_text_values(a, ids, w->n), w->n, "", &rows);
    for (size_t r = 0; err == OIM_OK && r < rows.n; r++) {
        const char *id = logic_cell_text(&rows, r, 0);

        for (size_t i = 0; i < w->n; i++) {
            if (strcmp(ids[i], id) != 0) continue;
            w->list[i].exists = true;
            w->list[i].member.status = (int)logic_cell_int(&rows, r, 1);
        }
    }
    return err;
}

static int load_members(struct msg_lane *lane, struct writers *w)
{
    static const char head[] = "SELECT group_id, user_id, role_level, mute_end_time FROM group_members WHERE (group_id, user_id)";
    char *(*ids)[2] = oim_arena_alloc(lane->base.arena, w->n * sizeof(*ids));
    struct oim_sql_rows rows = {0};
    int err;

    for (size_t i = 0; i < w->n; i++) {
        ids[i][0] = w->list[i].group_id;
        ids[i][1] = w->list[i].user_id;
    }
    err = msg_ask_pairs(lane, head, ids, w->n, &rows);
    for (size_t r = 0; err == OIM_OK && r < rows.n; r++) {
        struct writer *one = writer_find(w, logic_cell_text(&rows, r, 0), logic_cell_text(&rows, r, 1));

        if (one == NULL) continue;
        one->member.role = (int)logic_cell_int(&rows, r, 2);
        one->member.mute_end = logic_cell_int(&rows, r, 3);
    }
    return err;
}

static void load(struct msg_lane *lane, struct writers *w)
{
    w->failed = load_groups(lane, w) != OIM_OK || load_members(lane, w) != OIM_OK;
    for (size_t i = 0; i < w->n && !w->failed; i++) {
        const struct writer *one = &w->list[i];

        if (one->exists) logic_cache_put_member(lane->cache, one->group_id, one->user_id, &one->member);
    }
}

static void decide(struct msg_lane *lane, const struct writers *w, struct msg_entry *entry)
{
    const struct writer *asked = writer_find(w, entry->msg->groupid, entry->msg->sendid);
    struct logic_member m = {0};
    int why;

    if (asked && w->failed) {
        msg_refuse(entry, OIM_C_INTERNAL, "store unavailable");
    } else if (asked && !asked->exists) {
        msg_refuse(entry, OIM_C_NOTFOUND, "no such group");
    } else {
        if (asked) m = asked->member;
        if (!asked && !logic_cache_member(lane->cache, entry->msg->groupid, entry->msg->sendid, &m)) m.role = 0; /* not reached */
        why = refusal(entry, &m);
        if (why) msg_refuse(entry, why, NULL);
    }
}

void msg_verify_groups(struct msg_lane *lane, struct msg_entry **entries, size_t n)
{
    struct writers w = {.list = oim_arena_alloc(lane->base.arena, (n + 1) * sizeof(*w.list))};

    for (size_t i = 0; i < n; i++) {
        if (is_ours(entries[i])) collect(lane, &w, entries[i]);
    }
    if (w.n) load(lane, &w);
    for (size_t i = 0; i < n; i++) {
        if (is_ours(entries[i])) decide(lane, &w, entries[i]);
    }
}
