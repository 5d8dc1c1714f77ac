/* What becomes of single records: columns, void records, unreadable ones, repeats (docs/records.md). */
#include "archive.h"

#include "internal.pb-c.h"
#include "oim_buf.h"
#include "oim_hash.h"

#define BY_SEQ " FROM msg_history WHERE conversation_id = ? AND seq = ?"
#define OFFSETS "SELECT SUM(next_offset) FROM archive_offset"

static void archive_all(struct worker *w)
{
    int64_t end = 0;

    worker_start(w);
    for (int32_t p = 0; p < PARTITIONS; p++) end += stage_end_offset(p);
    sql_await(end, 30, OFFSETS);
}

static void archive_once(void)
{
    struct worker w = {0};

    archive_all(&w);
    assert_int_equal(worker_stop(&w), 0);
}

static char *repeated(const char *s, size_t times)
{
    struct oim_buf buf = {0};

    while (times--) oim_buf_puts(&buf, s);
    oim_buf_putc(&buf, '\0');
    return (char *)buf.data;
}

static void expect_text(const char *conversation, const char *seq, const char *column, const char *want)
{
    char sql[200];

    snprintf(sql, sizeof(sql), "SELECT %s" BY_SEQ, column);
    assert_string_equal(sql_text(sql, conversation, seq, NULL), want);
}

static void expect_int(const char *conversation, const char *seq, const char *column, int64_t want)
{
    char sql[200];

    snprintf(sql, sizeof(sql), "SELECT %s" BY_SEQ, column);
    assert_int_equal(sql_int(sql, conversation, seq, NULL), want);
}

void test_columns(void **state)
{
    static const char conv[] = "si_alice_bob", group[] = "sg_g1";
    char *big = repeated("0123456789", 80000), *nick = repeated("\xe3\x81\x82", 300), *face = repeated("f", 20000);
    int64_t f = feed_fence(0);

    feed_msg(0, &(struct feed_msg){.epoch = f, .seq = 1, .conversation = conv, .from = "alice", .to = "bob", .client_id = "c1", .server_id = "s1",
                                   .nick = "Al\xc3\xafs \xf0\x9f\x98\x80", .face = "http://f", .content = "h\xc3\xa9llo", .len = 6});
    feed_msg(0, &(struct feed_msg){.epoch = f, .seq = 2, .conversation = conv, .from = "bob", .to = "alice", .client_id = "c2", .server_id = "s2",
                                   .nick = "bad\xff", .content = "\xff\xfe", .len = 2});
    feed_msg(0, &(struct feed_msg){.epoch = f, .seq = 3, .conversation = conv, .from = "alice", .to = "bob", .client_id = "c3", .server_id = "s3",
                                   .nick = nick, .face = face, .content = big, .len = 800000});
    feed_msg(0, &(struct feed_msg){.epoch = f, .seq = 4, .conversation = conv, .from = "alice", .to = "bob", .client_id = "c4", .server_id = "s4",
                                   .content = "a\0b", .len = 3});
    feed_msg(0, &(struct feed_msg){.epoch = f, .seq = 1, .conversation = group, .from = "alice", .group = "g1", .session = 3, .client_id = "c1",
                                   .server_id = "s5", .content = "x", .len = 1, .type = 102});
    feed_msg(0, &(struct feed_msg){.epoch = f, .seq = 1, .conversation = "n_sys_bob", .from = "sys", .to = "bob", .session = 4, .server_id = "s6",
                                   .content = "x", .len = 1, .type = 1201});
    feed_msg(0, &(struct feed_msg){.epoch = f, .seq = 2, .conversation = "n_sys_bob", .from = "sys", .to = "bob", .session = 4, .server_id = "s7",
                                   .content = "x", .len = 1, .type = 1201});
    archive_once();

    assert_int_equal(sql_int("SELECT COUNT(*) FROM msg_history", NULL), 7);
    expect_text(conv, "1", "content", "h\xc3\xa9llo");
    expect_text(conv, "1", "sender_nick_name", "Al\xc3\xafs \xf0\x9f\x98\x80");
    expect_text(conv, "1", "client_msg_id", "c1");
    expect_text(conv, "1", "server_msg_id", "s1");
    expect_text(conv, "1", "recv_id", "bob");
    expect_text(conv, "1", "sender_face_url", "http://f");
    expect_int(conv, "1", "session_type", 1);
    expect_int(conv, "1", "sender_platform_id", 5);
    expect_int(conv, "1", "msg_from", 100);
    expect_int(conv, "1", "content_type", 101);
    expect_int(conv, "1", "send_time - create_time", 7);
    expect_text(conv, "2", "content", "");
    expect_text(conv, "2", "sender_nick_name", "bad?");
    expect_int(conv, "2", "LOCATE(X'fffe', data) > 0", 1);
    expect_int(conv, "3", "CHAR_LENGTH(sender_nick_name)", 255);
    expect_int(conv, "3", "LENGTH(content)", 800000);
    expect_int(conv, "3", "LENGTH(sender_face_url) BETWEEN 10000 AND 20000", 1);
    expect_int(conv, "4", "LENGTH(content)", 3);
    expect_text(group, "1", "recv_id", "g1");
    expect_int(group, "1", "content_type", 102);
    assert_int_equal(sql_int("SELECT archived_seq FROM conversation_seq WHERE conversation_id = ?", conv, NULL), 4);
    assert_int_equal(sql_int("SELECT archived_time FROM conversation_seq WHERE conversation_id = ?", conv, NULL) ==
                         sql_int("SELECT send_time" BY_SEQ, conv, "4", NULL),
                     1);
    assert_int_equal(sql_int("SELECT read_seq FROM seq_user WHERE user_id = 'bob' AND conversation_id = ?", conv, NULL), 2);
    assert_int_equal(sql_int("SELECT COUNT(*) FROM seq_user WHERE conversation_id LIKE 'n\\_%'", NULL), 0);
    expect_counts();
    expect_offsets();
    free(big);
    free(nick);
    free(face);
}

static int64_t plain(int64_t epoch, int64_t seq, const char *client_id)
{
    char server_id[32];

    snprintf(server_id, sizeof(server_id), "s%lld-%lld", (long long)seq, (long long)epoch);
    return feed_msg(0, &(struct feed_msg){.epoch = epoch, .seq = seq, .conversation = "si_a_b", .from = "a", .to = "b", .client_id = client_id,
                                          .server_id = server_id, .content = client_id, .len = strlen(client_id)});
}

void test_fences(void **state)
{
    int64_t first = feed_fence(0), second, third;
    struct worker w = {0};

    plain(first, 1, "one");
    second = feed_fence(0);
    plain(first, 2, "void");
    plain(second, 2, "two");
    plain(first, 3, "void too");
    archive_once();
    expect_text("si_a_b", "2", "client_msg_id", "two");
    assert_int_equal(sql_int("SELECT COUNT(*) FROM msg_history", NULL), 2);
    assert_int_equal(sql_int("SELECT fence FROM archive_offset WHERE partition_id = 0", NULL), second);

    /* the fence is remembered across a restart, and a fence of one partition is none of another */
    plain(first, 3, "void again");
    plain(second, 3, "three");
    feed_stream(0, 1, 1);
    feed_flush();
    archive_once();
    expect_text("si_a_b", "3", "client_msg_id", "three");
    assert_int_equal(sql_int("SELECT COUNT(*) FROM msg_history", NULL), 4);

    /* a fence that this reader has not seen (compaction of a rebuilt topic) but an epoch of it: the older owner is void from there on */
    third = feed_fence(0);
    plain(third, 4, "four");
    plain(second, 5, "late");
    archive_all(&w);
    assert_int_equal(sql_int("SELECT COUNT(*) FROM msg_history", NULL), 5);
    assert_int_equal(worker_stop(&w), 0);
    assert_int_equal(worker_logged(&w, "void record"), 4);
    assert_int_equal(sql_int("SELECT archived_seq FROM conversation_seq WHERE conversation_id = 'si_a_b'", NULL), 4);
    expect_offsets();
}

static int poison_lines(const char *with)
{
    char path[256], *line = NULL;
    size_t cap = 0;
    FILE *file;
    int n = 0;

    snprintf(path, sizeof(path), "%s/archive-poison.log", state_dir);
    file = fopen(path, "r");
    while (file && getline(&line, &cap, file) > 0) n += strstr(line, with) != NULL;
    if (file) fclose(file);
    free(line);
    return n;
}

static int64_t feed_stored(Openim__Internal__StoredKind kind, const char *message, size_t len)
{
    Openim__Internal__Stored stored = OPENIM__INTERNAL__STORED__INIT;
    uint8_t bytes[512];

    stored.kind = kind;
    stored.seq = 9;
    stored.epoch = 100;
    stored.conversationid = (char *)(uintptr_t)"si_a_b";
    stored.message = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)message, .len = len};
    return feed_bytes(0, bytes, openim__internal__stored__pack(&stored, bytes));
}

void test_parked(void **state)
{
    int64_t f = feed_fence(0), garbage;
    char *id = repeated("x", 600), text[64];
    struct worker w = {0};

    plain(f, 1, "one");
    garbage = feed_bytes(0, "\xff\xff\xff", 3);
    feed_bytes(0, "", 0);
    feed_msg(0, &(struct feed_msg){.epoch = f, .seq = 2, .conversation = "", .from = "a", .client_id = "c"});
    feed_msg(0, &(struct feed_msg){.epoch = f, .seq = 0, .conversation = "si_a_b", .from = "a", .client_id = "c"});
    feed_msg(0, &(struct feed_msg){.epoch = f, .seq = 1, .conversation = id, .from = "a", .client_id = "c"});
    feed_msg(0, &(struct feed_msg){.epoch = f, .seq = 1, .conversation = "si_\xff", .from = "a", .client_id = "c"});
    feed_stored(7, "", 0);
    feed_stored(OPENIM__INTERNAL__STORED_KIND__MESSAGE, "\x0a\x50", 2);
    plain(100, 2, "two");
    archive_all(&w);
    assert_int_equal(worker_stop(&w), 0);
    assert_int_equal(sql_int("SELECT COUNT(*) FROM msg_history", NULL), 2);
    assert_int_equal(poison_lines("value="), 8);
    snprintf(text, sizeof(text), "partition=0 offset=%lld ", (long long)garbage);
    assert_int_equal(poison_lines(text), 1);
    assert_int_equal(poison_lines("value=ffffff\n"), 1);
    assert_int_equal(worker_logged(&w, "record parked"), 8);

    plain(100, 3, "three");
    archive_once();
    assert_int_equal(poison_lines("value="), 8);
    expect_offsets();
    free(id);
}

void test_repeats(void **state)
{
    int64_t f = feed_fence(0);
    struct worker w = {0};

    plain(f, 1, "one");
    plain(f, 1, "one"); /* the same record again, as a producer without idempotence would */
    plain(f, 2, "two");
    plain(f, 3, "one"); /* an old repeat that the lane could not know of */
    plain(f, 4, "four");
    archive_all(&w);
    sql_await(3, 5, "SELECT COUNT(*) FROM msg_history");
    plain(f, 5, "two");
    plain(f, 4, "another");
    plain(f, 6, "six");
    sql_await(4, 10, "SELECT COUNT(*) FROM msg_history");
    assert_int_equal(worker_stop(&w), 0);
    expect_text("si_a_b", "1", "client_msg_id", "one");
    expect_text("si_a_b", "4", "client_msg_id", "four");
    expect_text("si_a_b", "6", "client_msg_id", "six");
    assert_int_equal(worker_logged(&w, "left out: repeat under another seq"), 2);
    assert_int_equal(worker_logged(&w, "left out: another message has this seq"), 1);
    assert_int_equal(sql_int("SELECT archived_seq FROM conversation_seq WHERE conversation_id = 'si_a_b'", NULL), 6);
    expect_counts();
    expect_offsets();
}
