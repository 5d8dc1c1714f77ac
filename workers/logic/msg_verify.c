/*
 * Who may write to whom: messages.md 3, rest.md C.9, with the holes of 15 closed. msg_lane.c calls form() for each record as it comes,
 * then batch() for all that are left: what no cache knows is asked for in one query per table, then every entry is decided.
 *
 * A message that a worker wrote (source SERVER) is verified already; one from REST was sent by an administrator.
 */
#include "logic_cache.h"
#include "msg.h"
#include "msg_options.h"
#include "rpc.h"

#include "oim_log.h"
#include "oim_wire.h"

#include <inttypes.h>
#include <string.h>

#define ID_MAX 255
#define OPTIONS_MAX 64 /* there are twelve */

enum { ROLE_OWNER = 100, ROLE_ADMIN = 60 };
enum { GROUP_DISMISSED = 2, GROUP_MUTED = 3 };
enum { LEVEL_APP_ADMIN = 2 };
enum { OPT_REFUSE = 1, OPT_NO_PUSH = 2 };

void msg_refuse(struct msg_entry *entry, int code, const char *dlt)
{
    entry->outcome = MSG_REFUSED;
    entry->fail = (struct oim_fail){.code = code, .msg = oim_fail_name(code), .dlt = dlt ? dlt : ""};
}

/* ---- what needs no store ---- */

static bool is_server(const struct msg_entry *entry)
{
    return entry->up->source == OPENIM__INTERNAL__SOURCE__SERVER;
}

/* Nothing of what only the server may say is taken from a client (messages.md 1, 15). */
static void neutralise(struct msg_entry *entry)
{
    Openim__Sdkws__MsgData *msg = entry->msg;

    msg->seq = 0;
    msg->status = entry->up->source == OPENIM__INTERNAL__SOURCE__WS ? 2 : 0; /* what a push shows */
    msg->isread = false;
    if (is_server(entry)) return;
    if (entry->up->source == OPENIM__INTERNAL__SOURCE__WS) msg->sendtime = 0;
    if (!msg_option(msg, MSG_OPT_NOT_NOTIFICATION)) msg_option_remove(msg, MSG_OPT_NOT_NOTIFICATION);
    msg_options_force(entry->turn->arena, msg);
}

/* Upstream lets clients send these past all checks (messages.md 15); no client does. 1400 has its own rule. */
static bool is_system(const Openim__Sdkws__MsgData *msg)
{
    return msg->contenttype >= MSG_SYSTEM_FIRST && msg->contenttype <= MSG_SYSTEM_LAST && msg->contenttype != MSG_OA;
}

static void form(struct msg_lane *lane, struct msg_entry *entry)
{
    const Openim__Sdkws__MsgData *msg = entry->msg;
    const struct oim_conf *conf = &lane->base.app->conf;
    bool oa = msg->contenttype == MSG_OA;

    if (msg->sendid[0] == '\0') {
        msg_refuse(entry, OIM_C_ARGS, "sendID is empty");
    } else if (msg->content.len == 0) {
        msg_refuse(entry, OIM_C_ARGS, "content is empty");
    } else if (oa != (msg->sessiontype == MSG_NOTIFICATION)) {
        msg_refuse(entry, OIM_C_ARGS, "contentType 1400 and sessionType 4 go together");
    } else if (!is_server(entry) && strcmp(msg->sendid, entry->up->userid) && !oim_conf_is_admin(conf, entry->up->userid)) {
        msg_refuse(entry, OIM_C_PERMISSION, "sendID is not the connected user");
    } else if (msg->sessiontype != MSG_SINGLE && msg->sessiontype != MSG_GROUP && msg->sessiontype != MSG_NOTIFICATION) {
        msg_refuse(entry, OIM_C_ARGS, "sessionType is not 1, 3 or 4");
    } else if (entry->up->source == OPENIM__INTERNAL__SOURCE__WS && !oim_conf_is_admin(conf, entry->up->userid) && is_system(msg)) {
        msg_refuse(entry, OIM_C_PERMISSION, "contentType is the system's");
    } else if (msg->n_options > OPTIONS_MAX) {
        msg_refuse(entry, OIM_C_ARGS, "too many options");
    } else if (strlen(msg->sendid) > ID_MAX || strlen(msg->recvid) > ID_MAX || strlen(msg->groupid) > ID_MAX ||
               strlen(msg->clientmsgid) > ID_MAX) {
        msg_refuse(entry, OIM_C_ARGS, "an id is longer than 255 bytes");
    } else if (openim__sdkws__msg_data__get_packed_size(msg) > (size_t)conf->message.max_bytes) {
        msg_refuse(entry, OIM_C_ARGS, "the message is too large");
    }
}

/* The partition is the conversation's: a key that says something else than the message (a NUL inside an id, a foreign producer) would
 * give one conversation two owners. */
static bool key_fits(const struct msg_entry *entry)
{
    const Openim__Sdkws__MsgData *msg = entry->msg;
    struct oim_wire_msg wire = {
        .send_id = (const uint8_t *)msg->sendid, .send_len = strlen(msg->sendid),
        .recv_id = (const uint8_t *)msg->recvid, .recv_len = strlen(msg->recvid),
        .group_id = (const uint8_t *)msg->groupid, .group_len = strlen(msg->groupid),
        .session_type = msg->sessiontype,
    };
    char key[2 * ID_MAX + 2];

    return oim_wire_conversation_key(&wire, key, sizeof(key)) == entry->key_len && memcmp(key, entry->key, entry->key_len) == 0;
}

void msg_verify_form(struct msg_lane *lane, struct msg_entry *entry)
{
    struct oim_arena *a = entry->turn->arena;
    const Openim__Internal__Uplink *up = entry->up;

    entry->msg = openim__sdkws__msg_data__unpack(oim_arena_pb(a), up->payload.len, up->payload.data);
    if (entry->msg == NULL || !logic_utf8(&entry->msg->base)) {
        entry->msg = NULL;
        msg_refuse(entry, OIM_C_INTERNAL, "the message is not valid protobuf");
        return;
    }
    form(lane, entry);
    if (entry->outcome != MSG_REFUSED && !key_fits(entry)) {
        oim_log(OIM_LOG_WARN, "record under a foreign key", "partition=%d offset=%" PRId64 " op=%s", entry->partition, entry->offset, up->operationid);
        msg_refuse(entry, OIM_C_ARGS, "the message does not belong here");
    }
    if (entry->outcome == MSG_REFUSED) return;
    neutralise(entry);
    entry->admin = is_server(entry) || oim_conf_is_admin(&lane->base.app->conf, entry->msg->sendid);
    entry->chat = msg_option(entry->msg, MSG_OPT_NOT_NOTIFICATION);
    entry->history = msg_option(entry->msg, MSG_OPT_HISTORY);
    entry->outcome = entry->history ? MSG_STORED : MSG_PUSHED;
    entry->conversation_id = msg_conversation_id(a, entry->msg, !entry->chat);
    if (entry->msg->clientmsgid[0] == '\0') { /* everybody keys on it */
        entry->msg->clientmsgid = oim_arena_printf(a, "%s%" PRId64 "p%d", entry->msg->sendid, entry->offset, entry->partition);
    }
}

/* messages.md 11.2. The clone has the two options that it inherits and no other: all else is true. */
bool msg_verify_split(struct msg_entry *entry, struct msg_entry *clone)
{
    static const char *const kept[] = {MSG_OPT_OFFLINE_PUSH, MSG_OPT_UNREAD_COUNT};
    struct oim_arena *a = entry->turn->arena;
    Openim__Sdkws__MsgData *msg;

    if (!is_server(entry) || entry->chat || !msg_option(entry->msg, MSG_OPT_SEND_MSG)) return false;
    msg = oim_arena_alloc(a, sizeof(*msg));
    *msg = *entry->msg;
    msg->n_options = 0;
    for (size_t i = 0; i < 2; i++) {
        msg_option_set(a, msg, kept[i], msg_option(entry->msg, kept[i]));
        msg_option_set(a, entry->msg, kept[i], false);
    }
    *clone = *entry;
    clone->next = NULL;
    clone->msg = msg;
    clone->chat = clone->history = true;
    clone->outcome = MSG_STORED;
    clone->conversation_id = msg_conversation_id(a, msg, false);
    entry->more = true;
    return true;
}

/* ---- what a batch has to ask for ---- */

struct need {
    char **users;
    size_t n_users;
    const struct msg_entry **pairs; /* receiver's view of the sender is not known */
    size_t n_pairs;
    bool failed; /* a store is away: what is not known stays unknown */
};

static void need_user(struct msg_lane *lane, struct need *need, char *id)
{
    if (logic_cache_user(lane->cache, id)) return;
    for (size_t i = 0; i < need->n_users; i++) {
        if (strcmp(need->users[i], id) == 0) return;
    }
    need->users[need->n_users++] = id;
}

static void need_pair(struct msg_lane *lane, struct need *need, const struct msg_entry *entry)
{
    const Openim__Sdkws__MsgData *msg = entry->msg;

    if (logic_cache_relation(lane->cache, msg->recvid, msg->sendid)) return;
    for (size_t i = 0; i < need->n_pairs; i++) {
        const Openim__Sdkws__MsgData *other = need->pairs[i]->msg;

        if (strcmp(other->recvid, msg->recvid) == 0 && strcmp(other->sendid, msg->sendid) == 0) return;
    }
    need->pairs[need->n_pairs++] = entry;
}

static int load_users(struct msg_lane *lane, struct need *need)
{
    static const char head[] = "SELECT user_id, app_manger_level, global_recv_msg_opt FROM users WHERE user_id IN";
    struct logic_lane *base = &lane->base;
    struct oim_sql_rows rows;
    int err;

    if (need->n_users == 0) return OIM_OK;
    err = logic_sql_in(base, head, NULL, 0, logic_text_values(base->arena, need->users, need->n_users), need->n_users, "", &rows);
    for (size_t i = 0; err == OIM_OK && i < rows.n; i++) {
        struct logic_user user = {(int)logic_cell_int(&rows, i, 1), (int)logic_cell_int(&rows, i, 2)};

        logic_cache_put_user(lane->cache, logic_cell_text(&rows, i, 0), &user);
    }
    return err;
}

/* A table of (owner, other) pairs: found[i] for those of need->pairs that have a row. */
static int load_pairs(struct msg_lane *lane, struct need *need, const char *head, bool *found)
{
    struct logic_lane *base = &lane->base;
    struct oim_sql_value *args;
    struct oim_buf sql = {0};
    struct oim_sql_rows rows;
    size_t places = 1;
    int err;

    /* rows of pairs, filled up to a power of two with the last one so that few texts are prepared */
    while (places < need->n_pairs) places *= 2;
    args = oim_arena_alloc(base->arena, places * 2 * sizeof(*args));
    for (size_t i = 0; i < places; i++) {
        const Openim__Sdkws__MsgData *msg = need->pairs[i < need->n_pairs ? i : need->n_pairs - 1]->msg;

        args[2 * i] = oim_sql_text(msg->recvid);
        args[2 * i + 1] = oim_sql_text(msg->sendid);
    }
    oim_buf_puts(&sql, head);
    oim_buf_puts(&sql, " IN (");
    oim_sql_places(&sql, places, 2);
    oim_buf_puts(&sql, ")");
    oim_buf_putc(&sql, '\0');
    err = oim_sql_exec(base->db, base->arena, (const char *)sql.data, args, places * 2, &rows, NULL);
    oim_buf_free(&sql);
    for (size_t r = 0; err == OIM_OK && r < rows.n; r++) {
        for (size_t i = 0; i < need->n_pairs; i++) {
            const Openim__Sdkws__MsgData *msg = need->pairs[i]->msg;

            if (strcmp(msg->recvid, logic_cell_text(&rows, r, 0)) == 0 && strcmp(msg->sendid, logic_cell_text(&rows, r, 1)) == 0) {
                found[i] = true;
            }
        }
    }
    return err;
}

static int load_options(struct msg_lane *lane, struct need *need, struct logic_relation *relations)
{
    static const char head[] = "SELECT owner_hash, recv_msg_opt FROM conversations WHERE recv_msg_opt <> 0 AND owner_hash IN";
    struct logic_lane *base = &lane->base;
    struct oim_sql_value *hashes = oim_arena_alloc(base->arena, need->n_pairs * sizeof(*hashes));
    struct oim_sql_rows rows;
    int err;

    for (size_t i = 0; i < need->n_pairs; i++) {
        const struct msg_entry *entry = need->pairs[i];
        char *id = msg_conversation_id(base->arena, entry->msg, false);

        hashes[i] = oim_sql_blob(logic_owner_hash(base->arena, entry->msg->recvid, id), 16);
    }
    err = logic_sql_in(base, head, NULL, 0, hashes, need->n_pairs, "", &rows);
    for (size_t r = 0; err == OIM_OK && r < rows.n; r++) {
        for (size_t i = 0; i < need->n_pairs; i++) {
            if (memcmp(hashes[i].p, oim_sql_cell(&rows, r, 0)->p, 16) == 0) relations[i].recv_opt = (int)logic_cell_int(&rows, r, 1);
        }
    }
    return err;
}

static int load_relations(struct msg_lane *lane, struct need *need)
{
    struct oim_arena *a = lane->base.arena;
    struct logic_relation *relations = oim_arena_zalloc(a, need->n_pairs * sizeof(*relations));
    bool *blocked = oim_arena_zalloc(a, need->n_pairs), *friends = oim_arena_zalloc(a, need->n_pairs);
    int err;

    if (need->n_pairs == 0) return OIM_OK;
    err = load_pairs(lane, need, "SELECT owner_user_id, block_user_id FROM blacks WHERE (owner_user_id, block_user_id)", blocked);
    if (err == OIM_OK && lane->base.app->conf.message.friend_verify) {
        err = load_pairs(lane, need, "SELECT owner_user_id, friend_user_id FROM friends WHERE (owner_user_id, friend_user_id)", friends);
    }
    if (err == OIM_OK) err = load_options(lane, need, relations);
    for (size_t i = 0; err == OIM_OK && i < need->n_pairs; i++) {
        relations[i].blocked = blocked[i];
        relations[i].is_friend = friends[i];
        logic_cache_put_relation(lane->cache, need->pairs[i]->msg->recvid, need->pairs[i]->msg->sendid, &relations[i]);
    }
    return err;
}

/* ---- decisions ---- */

/* NULL after refusing: unknown user (1004), or nobody can say now (500). */
static const struct logic_user *user_or_refuse(struct msg_lane *lane, const struct need *need, struct msg_entry *entry, const char *id)
{
    const struct logic_user *user = logic_cache_user(lane->cache, id);

    if (user == NULL) msg_refuse(entry, need->failed ? OIM_C_INTERNAL : OIM_C_NOTFOUND, need->failed ? "store unavailable" : "no such user");
    return user;
}

static void receive_option(struct msg_entry *entry, int opt)
{
    if (opt == OPT_REFUSE) msg_refuse(entry, OIM_C_ARGS, "the receiver takes no messages");
    if (opt == OPT_NO_PUSH) msg_option_set(entry->turn->arena, entry->msg, MSG_OPT_OFFLINE_PUSH, false);
}

/* messages.md 3.1 */
static void decide_single(struct msg_lane *lane, const struct need *need, struct msg_entry *entry)
{
    const Openim__Sdkws__MsgData *msg = entry->msg;
    const struct logic_user *sender = NULL, *receiver;
    const struct logic_relation *relation;

    if (!entry->admin) {
        sender = user_or_refuse(lane, need, entry, msg->sendid);
        if (sender == NULL) return;
    }
    receiver = user_or_refuse(lane, need, entry, msg->recvid);
    if (receiver == NULL) return;
    relation = logic_cache_relation(lane->cache, msg->recvid, msg->sendid);
    if (relation == NULL) {
        msg_refuse(entry, OIM_C_INTERNAL, "store unavailable");
        return;
    }
    if (sender && sender->level < LEVEL_APP_ADMIN) {
        if (relation->blocked) {
            msg_refuse(entry, OIM_C_BLOCKED, NULL);
            return;
        }
        if (lane->base.app->conf.message.friend_verify && !relation->is_friend) {
            msg_refuse(entry, OIM_C_NOT_FRIEND, NULL);
            return;
        }
    }
    if (!entry->chat) return;
    receive_option(entry, receiver->recv_opt);
    if (entry->outcome == MSG_REFUSED || receiver->recv_opt != 0) return;
    if (relation->recv_opt != OPT_REFUSE || msg->contenttype != MSG_READ_RECEIPT) receive_option(entry, relation->recv_opt);
}

/* messages.md 3.3: an account of level 2 or more may write, nobody else (16, item 9). */
static void decide_notification(struct msg_lane *lane, const struct need *need, struct msg_entry *entry)
{
    const struct logic_user *sender;

    if (entry->admin) return;
    sender = user_or_refuse(lane, need, entry, entry->msg->sendid);
    if (sender && sender->level < LEVEL_APP_ADMIN) msg_refuse(entry, OIM_C_PERMISSION, "the sender is no notification account");
    if (sender && entry->outcome != MSG_REFUSED) user_or_refuse(lane, need, entry, entry->msg->recvid);
}

/* messages.md 3.2. Groups and members have no cache yet: one look-up per message. */
static void decide_group(struct msg_lane *lane, struct msg_entry *entry)
{
    static const char sql[] = "SELECT g.status, m.role_level, m.mute_end_time FROM chat_groups g LEFT JOIN group_members m"
                              " ON m.group_id = g.group_id AND m.user_id = ? WHERE g.group_id = ?";
    struct oim_sql_value args[] = {oim_sql_text(entry->msg->sendid), oim_sql_text(entry->msg->groupid)};
    struct oim_sql_rows rows;
    int err = oim_sql_exec(lane->base.db, lane->base.arena, sql, args, 2, &rows, NULL);
    int64_t status, role;

    if (err != OIM_OK) {
        msg_refuse(entry, OIM_C_INTERNAL, "store unavailable");
        return;
    }
    if (rows.n == 0) {
        msg_refuse(entry, OIM_C_NOTFOUND, "no such group");
        return;
    }
    status = logic_cell_int(&rows, 0, 0);
    role = logic_cell_int(&rows, 0, 1);
    if (status == GROUP_DISMISSED) {
        msg_refuse(entry, OIM_C_DISMISSED, NULL);
    } else if (entry->admin || role == ROLE_OWNER) {
        return;
    } else if (role == 0) {
        msg_refuse(entry, OIM_C_NOT_IN_GROUP, NULL);
    } else if (logic_cell_int(&rows, 0, 2) >= oim_now_ms()) {
        msg_refuse(entry, OIM_C_MUTED_MEMBER, NULL);
    } else if (status == GROUP_MUTED && role != ROLE_ADMIN) {
        msg_refuse(entry, OIM_C_MUTED_GROUP, NULL);
    }
}

void msg_verify_batch(struct msg_lane *lane, struct msg_entry **entries, size_t n)
{
    struct oim_arena *a = lane->base.arena;
    struct need need = {.users = oim_arena_alloc(a, 2 * n * sizeof(char *)), .pairs = oim_arena_alloc(a, n * sizeof(*need.pairs))};

    logic_cache_turn(lane->cache);
    for (size_t i = 0; i < n; i++) {
        struct msg_entry *entry = entries[i];

        if (is_server(entry) || entry->msg->sessiontype == MSG_GROUP) continue;
        need_user(lane, &need, entry->msg->sendid);
        need_user(lane, &need, entry->msg->recvid);
        if (entry->msg->sessiontype == MSG_SINGLE) need_pair(lane, &need, entry);
    }
    need.failed = load_users(lane, &need) != OIM_OK || load_relations(lane, &need) != OIM_OK;
    for (size_t i = 0; i < n; i++) {
        if (is_server(entries[i])) continue;
        switch (entries[i]->msg->sessiontype) {
        case MSG_SINGLE: decide_single(lane, &need, entries[i]); break;
        case MSG_NOTIFICATION: decide_notification(lane, &need, entries[i]); break;
        case MSG_GROUP:
        default: decide_group(lane, entries[i]); break;
        }
    }
}
