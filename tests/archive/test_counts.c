/* The counts of a day (msg_counts): the same as the history says, whatever is repeated, killed, or was there before. */
#include "archive.h"

#include <unistd.h>

#define DAY 86400000LL
#define SENDERS 50
#define OLD "30000" /* messages that nobody has counted */

static int64_t told(int32_t partition, int64_t epoch, const char *conversation, const char *from, int64_t seq, int64_t time)
{
    char id[64];
    bool group = conversation[1] == 'g';

    snprintf(id, sizeof(id), "%.30s-%lld", conversation, (long long)seq);
    return feed_msg(partition, &(struct feed_msg){.epoch = epoch, .seq = seq, .conversation = conversation, .from = from,
                                                  .to = group ? "" : "b", .group = group ? conversation + 3 : "",
                                                  .session = group ? 3 : 1, .client_id = id, .server_id = id, .time = time});
}

static void archived(struct worker *w, int64_t messages)
{
    worker_start(w);
    sql_await(messages, 30, "SELECT COUNT(*) FROM msg_history");
}

static int64_t count(const char *kind, const char *day, const char *name)
{
    return sql_int("SELECT COALESCE(MAX(n), 0) FROM msg_counts WHERE kind = ? AND day = ? AND name = ?", kind, day, name, NULL);
}

void test_counts(void **state)
{
    char huge[300] = "sg_";
    int64_t f = feed_fence(0);
    struct worker w = {0};

    told(0, f, "si_a_b", "a", 1, DAY - 1); /* the last ms of a day, and the first one */
    told(0, f, "si_a_b", "a", 2, DAY);
    told(0, f, "si_a_b", "b", 3, DAY);
    told(0, f, "sg_g", "a", 1, DAY);
    told(0, f, "sg_g", "b", 2, DAY);
    told(0, f, "n_a_b", "a", 1, DAY);
    told(0, f, "n_g", "a", 1, DAY);
    told(0, f, "sg_g", "", 3, DAY);
    archived(&w, 8);
    assert_int_equal(count("1", "0", "a"), 1);
    assert_int_equal(count("1", "1", "a"), 1);
    assert_int_equal(count("2", "1", "a"), 1);
    assert_int_equal(count("2", "1", ""), 1);
    assert_int_equal(count("3", "1", "g"), 3);
    assert_int_equal(sql_int("SELECT COUNT(*) FROM msg_counts", NULL), 7);
    expect_counts();
    assert_int_equal(worker_stop(&w), 0);

    /* all of it again */
    sql_run("UPDATE archive_offset SET next_offset = 0, counted_offset = 0");
    worker_start(&w);
    sql_await(stage_end_offset(0), 30, "SELECT next_offset FROM archive_offset WHERE partition_id = 0");
    assert_int_equal(worker_stop(&w), 0);
    assert_int_equal(sql_int("SELECT SUM(n) FROM msg_counts", NULL), 9);

    /* and a batch of which a part is there */
    sql_run("UPDATE archive_offset SET next_offset = 0, counted_offset = 0");
    for (int64_t seq = 4; seq < 60; seq++) told(0, f, "si_a_b", "a", seq, DAY);
    archived(&w, 64);
    assert_int_equal(count("1", "1", "a"), 57);
    expect_counts();
    assert_int_equal(worker_logged(&w, "nobody has counted"), 0);

    /* a name that no group can have has no count, and stops nobody */
    memset(huge + 3, 'x', sizeof(huge) - 4);
    told(0, f, huge, "a", 1, DAY);
    told(0, f, "sg_g", "a", 4, DAY);
    sql_await(66, 30, "SELECT COUNT(*) FROM msg_history");
    assert_int_equal(count("2", "1", "a"), 3);
    sql_run("UPDATE msg_counted SET counted_from = 9223372036854775807");
    sql_await(0, 30, "SELECT counted_from FROM msg_counted");
    assert_int_equal(count("2", "1", "a"), 3);
    assert_int_equal(count("3", "1", "g"), 4);
    assert_int_equal(sql_int("SELECT COUNT(*) FROM msg_counts WHERE kind = 3", NULL), 1);
    assert_int_equal(worker_stop(&w), 0);
}

/* Messages of chats, groups and notifications of 20 days, as an archive that does not count would leave them. */
static void old_history(const char *prefix)
{
    char sql[1400];

    snprintf(sql, sizeof(sql),
             "INSERT INTO msg_history SELECT CONCAT(ELT(seq %% 3 + 1, 'si_', 'sg_', 'n_'), '%s', seq %% 7), seq,"
             " UNHEX(MD5(CONCAT('%s', seq))), seq, seq, CONCAT('s', seq %% 11), 'r', 1, '', '', 1, 100, 101, '', seq DIV 4 * 4 * 57600,"
             " 0, '' FROM seq_1_to_" OLD,
             prefix, prefix);
    sql_run(sql);
}

/* The history of before is counted in pieces, while new messages come and the worker is killed. */
void test_counts_before(void **state)
{
    int64_t f = feed_fence(0), n = 0;
    struct worker w = {0};

    old_history("x");
    for (int i = 0; i < 8; i++) {
        worker_start(&w);
        for (int k = 0; k < 3; k++, n++) told(0, f, "si_a_b", n % 2 ? "a" : "b", n + 1, n % 3 * 10 * DAY);
        usleep(150000 + (useconds_t)i * 100000);
        worker_kill(&w);
    }
    archived(&w, atoll(OLD) + n);
    sql_await(0, 60, "SELECT counted_from FROM msg_counted");
    expect_counts();
    assert_int_equal(sql_int("SELECT SUM(n) FROM msg_counts WHERE kind < 3", NULL), atoll(OLD) / 3 * 2 + n);

    /* an archive that does not count has written meanwhile */
    worker_kill(&w);
    old_history("y");
    sql_run("UPDATE archive_offset SET next_offset = next_offset + 2 WHERE partition_id = 0");
    told(0, f, "void", "a", 1, DAY);
    told(0, f, "void", "a", 2, DAY);
    n++;
    told(0, f, "si_a_b", "a", n, DAY);
    archived(&w, 2 * atoll(OLD) + n);
    sql_await(0, 60, "SELECT counted_from FROM msg_counted");
    expect_counts();
    assert_int_equal(worker_logged(&w, "nobody has counted"), 1);
    assert_int_equal(worker_stop(&w), 0);
}

#define WAITS "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID() AND info LIKE "

/* What is counted by whom is decided while nobody can change it. */
void test_counts_line(void **state)
{
    int64_t f = feed_fence(0);
    struct worker w = {0};

    /* a transaction of a lane, which has read that it is not to count: who counts the history waits for it */
    assert_int_equal(oim_sql_begin(db), OIM_OK);
    assert_true(sql_int("SELECT counted_from FROM msg_counted LOCK IN SHARE MODE", NULL) == INT64_MAX);
    sql_run("INSERT INTO msg_history VALUES ('si_x_y', 1, 'x', 'x', 'x', 'x', 'y', 1, '', '', 1, 100, 101, '', 5, 5, '')");
    worker_start(&w);
    sql_await(1, 30, WAITS "'%msg_counted%'");
    assert_int_equal(oim_sql_commit(db), OIM_OK);
    sql_await(0, 30, "SELECT counted_from FROM msg_counted");
    assert_int_equal(count("1", "0", "x"), 1);

    /* and a lane waits for who moves the line */
    assert_int_equal(oim_sql_begin(db), OIM_OK);
    assert_int_equal(sql_int("SELECT counted_from FROM msg_counted FOR UPDATE", NULL), 0);
    told(0, f, "si_a_b", "a", 1, DAY);
    sql_await(1, 30, WAITS "'%msg_counted%SHARE MODE'");
    sql_run("UPDATE msg_counted SET counted_from = 172800000");
    assert_int_equal(oim_sql_commit(db), OIM_OK);
    sql_await(2, 30, "SELECT COUNT(*) FROM msg_history");
    sql_await(0, 30, "SELECT counted_from FROM msg_counted");
    assert_int_equal(count("1", "1", "a"), 1);
    assert_int_equal(worker_stop(&w), 0);
}

#define DEADLOCKS "SELECT CAST(variable_value AS SIGNED) FROM information_schema.global_status WHERE variable_name = 'INNODB_DEADLOCKS'"

/* A message of every sender in every partition, in one order or the other. */
static void senders_write(const int64_t *epochs, int64_t seq)
{
    for (int s = 0; s < SENDERS; s++) {
        for (int32_t p = 0; p < PARTITIONS; p++) {
            char conversation[32], from[16], id[48];

            snprintf(conversation, sizeof(conversation), "sg_g%d-%d", s, p);
            snprintf(from, sizeof(from), "s%d", p % 2 ? s : SENDERS - 1 - s);
            snprintf(id, sizeof(id), "%s-%lld", conversation, (long long)seq);
            feed_msg_soon(p, &(struct feed_msg){.epoch = epochs[p], .seq = seq, .conversation = conversation, .from = from, .session = 3,
                                                .group = conversation + 3, .client_id = id, .server_id = id, .time = DAY});
        }
    }
    feed_flush();
}

/* Lanes that write the same rows at once wait for each other, and never in a circle. */
void test_counts_together(void **state)
{
    int64_t epochs[PARTITIONS], deadlocks = sql_int(DEADLOCKS, NULL);
    struct worker w = {0};

    for (int32_t p = 0; p < PARTITIONS; p++) epochs[p] = feed_fence(p);
    senders_write(epochs, 1);
    setenv("OPENIM_ARCHIVE_LANES", "4", 1);
    archived(&w, SENDERS * PARTITIONS);
    unsetenv("OPENIM_ARCHIVE_LANES");
    assert_int_equal(oim_sql_begin(db), OIM_OK);
    assert_int_equal(sql_int("SELECT n FROM msg_counts WHERE kind = 2 AND day = 1 AND name = 's25' FOR UPDATE", NULL), PARTITIONS);
    senders_write(epochs, 2);
    sql_await(PARTITIONS, 60, WAITS "'INSERT INTO msg_counts%'"); /* they stop half-way */
    assert_int_equal(oim_sql_commit(db), OIM_OK);
    sql_await(2 * SENDERS * PARTITIONS, 60, "SELECT COUNT(*) FROM msg_history");
    assert_int_equal(sql_int("SELECT COUNT(*) FROM msg_counts WHERE kind = 2", NULL), SENDERS);
    expect_counts();
    assert_int_equal(sql_int(DEADLOCKS, NULL) - deadlocks, 0);
    assert_int_equal(worker_stop(&w), 0);
}
