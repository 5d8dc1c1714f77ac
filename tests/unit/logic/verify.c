/*
 * Who may write to whom in a single chat (msg_verify.c against messages.md 3.1), with everything known to the cache: no store is asked.
 * What a running server refuses, too, is in tests/routes; friend_verify holds for a whole installation and is on only here.
 */
#include "logic_cache.h"
#include "msg.h"
#include "msg_options.h"
#include "rpc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* ---- what the store says of whom the cache does not know ---- */

static int store_answer;

int logic_sql_in(struct logic_lane *lane, const char *head, const struct oim_sql_value *args, size_t nargs,
                 const struct oim_sql_value *ids, size_t n, const char *tail, struct oim_sql_rows *rows)
{
    *rows = (struct oim_sql_rows){0};
    return store_answer;
}

int oim_sql_exec(struct oim_sql *db, struct oim_arena *arena, const char *sql, const struct oim_sql_value *args, size_t nargs,
                 struct oim_sql_rows *rows, uint64_t *affected)
{
    if (rows) *rows = (struct oim_sql_rows){0};
    return store_answer;
}

struct oim_sql_value *logic_text_values(struct oim_arena *a, char *const *ids, size_t n)
{
    return oim_arena_zalloc(a, n * sizeof(struct oim_sql_value));
}

struct oim_sql_value oim_sql_text_value(const char *s) { return (struct oim_sql_value){.kind = OIM_SQL_TEXT, .p = s}; }
char *logic_cell_text(const struct oim_sql_rows *rows, size_t row, size_t col) { return (char *)""; }
int64_t logic_cell_int(const struct oim_sql_rows *rows, size_t row, size_t col) { return 0; }
void oim_sql_places(struct oim_buf *buf, size_t rows, size_t columns) {}
const void *logic_owner_hash(struct oim_arena *a, const char *owner, const char *conversation_id) { return oim_arena_zalloc(a, 16); }
bool logic_utf8(const ProtobufCMessage *msg) { return true; }
bool oim_conf_is_admin(const struct oim_conf *conf, const char *user_id) { return strcmp(user_id, "admin") == 0; }
void msg_verify_groups(struct msg_lane *lane, struct msg_entry **entries, size_t n) {}

/* ---- cases ---- */

struct chat {
    const char *what;
    struct logic_user sender, receiver;
    struct logic_relation relation; /* the receiver's view */
    bool friend_verify, admin;
    int32_t content_type; /* 0: text */
    int want;             /* 0: it may */
    bool no_push;
};

static const struct chat chats[] = {
    {.what = "strangers may"},
    {.what = "a blocked one may not", .relation.blocked = true, .want = OIM_C_BLOCKED},
    {.what = "a system account may all the same", .sender.level = 2, .relation.blocked = true},
    {.what = "an administrator, too", .admin = true, .relation.blocked = true},
    {.what = "friends only: a stranger may not", .friend_verify = true, .want = OIM_C_NOT_FRIEND},
    {.what = "friends only: a friend may", .friend_verify = true, .relation.is_friend = true},
    {.what = "friends only: a blocked friend may not", .friend_verify = true, .relation = {.blocked = true, .is_friend = true},
     .want = OIM_C_BLOCKED},
    {.what = "friends only: a system account may", .friend_verify = true, .sender.level = 2},
    {.what = "friends only: an administrator may", .friend_verify = true, .admin = true},
    {.what = "the receiver takes no messages", .receiver.recv_opt = LOGIC_RECV_REFUSE, .want = OIM_C_ARGS},
    {.what = "not even an administrator's", .admin = true, .receiver.recv_opt = LOGIC_RECV_REFUSE, .want = OIM_C_ARGS},
    {.what = "the receiver takes none of this one", .relation.recv_opt = LOGIC_RECV_REFUSE, .want = OIM_C_ARGS},
    {.what = "but receipts", .relation.recv_opt = LOGIC_RECV_REFUSE, .content_type = MSG_READ_RECEIPT},
    {.what = "the receiver wants no push", .receiver.recv_opt = LOGIC_RECV_NO_PUSH, .no_push = true},
    {.what = "no push, whatever the chat says", .receiver.recv_opt = LOGIC_RECV_NO_PUSH, .relation.recv_opt = LOGIC_RECV_REFUSE,
     .no_push = true},
    {.what = "no push of this one", .relation.recv_opt = LOGIC_RECV_NO_PUSH, .no_push = true},
};

/* One message from "a" to "b"; what the case says of them is known, unless it is NULL. */
static struct msg_entry decide(const struct chat *chat, Openim__Sdkws__MsgData *msg)
{
    static struct oim_app app;
    Openim__Internal__Uplink up = OPENIM__INTERNAL__UPLINK__INIT;
    struct oim_arena *a = oim_arena_new(65536);
    struct msg_lane lane = {.base = {.app = &app, .arena = a}, .cache = logic_cache_new()};
    struct msg_turn turn = {.arena = a};
    struct msg_entry entry = {.turn = &turn, .up = &up, .msg = msg, .chat = true, .outcome = MSG_STORED}, *list = &entry;

    up.source = OPENIM__INTERNAL__SOURCE__REST;
    msg->sendid = (char *)"a";
    msg->recvid = (char *)"b";
    msg->sessiontype = LOGIC_SESSION_SINGLE;
    msg->contenttype = 101;
    if (chat) {
        app.conf.message.friend_verify = chat->friend_verify;
        entry.admin = chat->admin;
        if (chat->content_type) msg->contenttype = chat->content_type;
        logic_cache_put_user(lane.cache, "a", &chat->sender);
        logic_cache_put_user(lane.cache, "b", &chat->receiver);
        logic_cache_put_relation(lane.cache, "b", "a", &chat->relation);
    }
    msg_verify_batch(&lane, &list, 1);
    logic_cache_free(lane.cache);
    if (msg->n_options) assert_string_equal(msg->options[0]->key, MSG_OPT_OFFLINE_PUSH);
    oim_arena_free(a);
    return entry;
}

static void test_single_chats(void **state)
{
    for (size_t i = 0; i < sizeof(chats) / sizeof(chats[0]); i++) {
        Openim__Sdkws__MsgData msg = OPENIM__SDKWS__MSG_DATA__INIT;
        struct msg_entry entry = decide(&chats[i], &msg);

        if (entry.fail.code != chats[i].want || (msg.n_options > 0) != chats[i].no_push) {
            fail_msg("%s: %d %s, %zu options", chats[i].what, entry.fail.code, entry.fail.dlt, msg.n_options);
        }
        assert_int_equal(entry.outcome, chats[i].want ? MSG_REFUSED : MSG_STORED);
    }
}

static void test_unknown_users(void **state)
{
    Openim__Sdkws__MsgData msg = OPENIM__SDKWS__MSG_DATA__INIT;

    store_answer = OIM_OK;
    assert_int_equal(decide(NULL, &msg).fail.code, OIM_C_NOTFOUND);
    store_answer = OIM_EUNAVAIL;
    assert_int_equal(decide(NULL, &msg).fail.code, OIM_C_INTERNAL);
    store_answer = OIM_OK;
}

const struct CMUnitTest verify_tests[] = {
    cmocka_unit_test(test_single_chats),
    cmocka_unit_test(test_unknown_users),
};
const size_t n_verify_tests = sizeof(verify_tests) / sizeof(verify_tests[0]);
