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
    } else if (oa != (msg->sessiontype == LOGIC_SESSION_NOTIFICATION)) {
        msg_refuse(entry, OIM_C_ARGS, "contentType 1400 and sessionType 4 go together");
    } else if (!is_server(entry) && strcmp(msg->sendid, entry->up->userid) && !oim_conf_is_admin(conf, entry->up->userid)) {
        msg_refuse(entry, OIM_C_PERMISSION, "sendID is not the connected user");
    } else if (msg->sessiontype != LOGIC_SESSION_SINGLE && msg->sessiontype != LOGIC_SESSION_GROUP && msg->sessiontype != LOGIC_SESSION_NOTIFICATION) {
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

/* messages.md 11.2. The chat message has the two options that it inherits and no other: all else is true. */
bool msg_verify_split(struct msg_entry *entry, struct msg_entry *notice)
{
    static const char *const kept[] = {MSG_OPT_OFFLINE_PUSH, MSG_OPT_UNREAD_COUNT};
    struct oim_arena *a = entry->turn->arena;
    Openim__Sdkws__MsgData *msg;

    if (!is_server(entry) || entry->chat || !msg_option(entry->msg, MSG_OPT_SEND_MSG)) return false;
    *notice = *entry;
    notice->next = NULL;
    msg = oim_arena_alloc(a, sizeof(*msg));
    *msg = *entry->msg;
    msg->n_options = 0;
    for (size_t i = 0; i < 2; i++) {
        msg_option_set(a, msg, kept[i], msg_option(notice->msg, kept[i]));
        msg_option_set(a, notice->msg, kept[i], false);
    }
    entry->msg = msg;
    entry->chat = entry->history = true;
    entry->outcome = MSG_STORED;
    entry->conversation_id = msg_conversation_id(a, msg, false);
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

/* Filled up to a power of two with the last pair so that few texts are prepared. */
int msg_ask_pairs(struct msg_lane *lane, const char *head, char *(*ids)[2], size_t n, struct oim_sql_rows *rows)
{
    struct logic_lane *base = &lane->base;
    struct oim_sql_value *args;
    struct oim_buf sql = {0};
    size_t places = 1;
    int err;

    while (places < n) places *= 2;
    args = oim_arena_alloc(base->arena, places * 2 * sizeof(*args));
    for (size_t i = 0; i < places; i++) {
        char **pair = ids[i < n ? i : n - 1];

        args[2 * i] = oim_sql_text(pair[0]);
        args[2 * i + 1] = oim_sql_text(pair[1]);
    }
    oim_buf_puts(&sql, head);
    oim_buf_puts(&sql, " IN (");
    oim_sql_places(&sql, places, 2);
    oim_buf_puts(&sql, ")");
    oim_buf_putc(&sql, '\0');
    err = oim_sql_exec(base->db, base->arena, (const char *)sql.data, args, places * 2, rows, NULL);
    oim_buf_free(&sql);
    return err;
}

/* A table of (owner, other) pairs: found[i] for those of need->pairs that have a row. */
static int load_pairs(struct msg_lane *lane, struct need *need, const char *head, bool *found)
{
    char *(*ids)[2] = oim_arena_alloc(lane->base.arena, need->n_pairs * sizeof(*ids));
    struct oim_sql_rows rows = {0};
    int err;

    for (size_t i = 0; i < need->n_pairs; i++) {
        ids[i][0] = need->pairs[i]->msg->recvid;
        ids[i][1] = need->pairs[i]->msg->sendid;
    }
    err = msg_ask_pairs(lane, head, ids, need->n_pairs, &rows);
    for (size_t r = 0; err == OIM_OK && r < rows.n; r++) {
        for (size_t i = 0; i < need->n_pairs; i++) {
            if (strcmp(ids[i][0], logic_cell_text(&rows, r, 0)) == 0 && strcmp(ids[i][1], logic_cell_text(&rows, r, 1)) == 0) found[i] = true;
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
    if (opt == LOGIC_RECV_REFUSE) msg_refuse(entry, OIM_C_ARGS, "the receiver takes no messages");
    if (opt == LOGIC_RECV_NO_PUSH) msg_option_set(entry->turn->arena, entry->msg, MSG_OPT_OFFLINE_PUSH, false);
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
    if (sender && sender->level < LOGIC_LEVEL_APP_ADMIN) {
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
    if (relation->recv_opt != LOGIC_RECV_REFUSE || msg->contenttype != MSG_READ_RECEIPT) receive_option(entry, relation->recv_opt);
}

/* messages.md 3.3: an account of level 2 or more may write, nobody else (16, item 9). */
static void decide_notification(struct msg_lane *lane, const struct need *need, struct msg_entry *entry)
{
    const struct logic_user *sender;

    if (entry->admin) return;
    sender = user_or_refuse(lane, need, entry, entry->msg->sendid);
    if (sender && sender->level < LOGIC_LEVEL_APP_ADMIN) msg_refuse(entry, OIM_C_PERMISSION, "the sender is no notification account");
    if (sender && entry->outcome != MSG_REFUSED) user_or_refuse(lane, need, entry, entry->msg->recvid);
}

void msg_verify_batch(struct msg_lane *lane, struct msg_entry **entries, size_t n)
{
    struct oim_arena *a = lane->base.arena;
    struct need need = {.users = oim_arena_alloc(a, 2 * n * sizeof(char *)), .pairs = oim_arena_alloc(a, n * sizeof(*need.pairs))};

    logic_cache_turn(lane->cache);
    for (size_t i = 0; i < n; i++) {
        struct msg_entry *entry = entries[i];

        if (is_server(entry) || entry->msg->sessiontype == LOGIC_SESSION_GROUP) continue;
        need_user(lane, &need, entry->msg->sendid);
        need_user(lane, &need, entry->msg->recvid);
        if (entry->msg->sessiontype == LOGIC_SESSION_SINGLE) need_pair(lane, &need, entry);
    }
    need.failed = load_users(lane, &need) != OIM_OK || load_relations(lane, &need) != OIM_OK;
    for (size_t i = 0; i < n; i++) {
        if (is_server(entries[i])) continue;
        switch (entries[i]->msg->sessiontype) {
        case LOGIC_SESSION_SINGLE: decide_single(lane, &need, entries[i]); break;
        case LOGIC_SESSION_NOTIFICATION: decide_notification(lane, &need, entries[i]); break;
        default: break; /* groups */
        }
    }
    msg_verify_groups(lane, entries, n);
}
