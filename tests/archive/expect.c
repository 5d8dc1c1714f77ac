/* See archive.h. */
#include "archive.h"

#include "oim_hash.h"

#include <unistd.h>

static void expect_mysql(int conversation, int64_t last)
{
    struct oim_sql_value name = oim_sql_text(stream_name(conversation));
    struct oim_sql_rows rows;
    uint8_t bytes[2048], dedup[16];

    assert_int_equal(oim_sql_exec(db, arena, "SELECT seq, dedup, data, send_id, client_msg_id FROM msg_history WHERE conversation_id = ? ORDER BY seq",
                                  &name, 1, &rows, NULL),
                     OIM_OK);
    assert_int_equal(rows.n, last);
    for (size_t i = 0; i < rows.n; i++) {
        int64_t seq = (int64_t)i + 1;
        size_t len = stream_message(conversation, seq, bytes, sizeof(bytes));

        assert_int_equal(oim_sql_cell(&rows, i, 0)->i, seq);
        oim_hash_dedup(dedup, stream_name(conversation), stream_sender(conversation, seq), stream_client_id(conversation, seq));
        assert_memory_equal(oim_sql_cell(&rows, i, 1)->p, dedup, 16);
        assert_int_equal(oim_sql_cell(&rows, i, 2)->len, len);
        assert_memory_equal(oim_sql_cell(&rows, i, 2)->p, bytes, len);
        assert_string_equal(oim_sql_cell(&rows, i, 3)->p, stream_sender(conversation, seq));
        assert_string_equal(oim_sql_cell(&rows, i, 4)->p, stream_client_id(conversation, seq));
    }
}

static void expect_mongo(int conversation, int64_t last)
{
    struct oim_mongo_msg *msgs;
    uint8_t bytes[2048];
    size_t n;

    assert_int_equal(oim_mongo_read(mg, arena, stream_name(conversation), 1, last + 1000, &msgs, &n), OIM_OK);
    assert_int_equal(n, last);
    for (size_t i = 0; i < n; i++) {
        size_t len = stream_message(conversation, (int64_t)i + 1, bytes, sizeof(bytes));

        assert_int_equal(msgs[i].seq, i + 1);
        assert_int_equal(msgs[i].len, len);
        assert_memory_equal(msgs[i].data, bytes, len);
    }
}

static void expect_seqs(int conversation, int64_t last)
{
    char a[64], b[64];

    snprintf(a, sizeof(a), "a%d", conversation);
    snprintf(b, sizeof(b), "b%d", conversation);
    assert_int_equal(sql_int("SELECT archived_seq FROM conversation_seq WHERE conversation_id = ?", stream_name(conversation), NULL), last);
    assert_int_equal(sql_int("SELECT read_seq FROM seq_user WHERE user_id = ?", a, NULL), last % 2 ? last : last - 1);
    assert_int_equal(sql_int("SELECT read_seq FROM seq_user WHERE user_id = ?", b, NULL), last % 2 ? last - 1 : last);
}

void expect_stream(int64_t last)
{
    for (int i = 0; i < CONVERSATIONS; i++) {
        oim_arena_reset(arena);
        expect_mysql(i, last);
        expect_mongo(i, last);
        expect_seqs(i, last);
    }
}

#define COUNTED(kind, name, prefix)                                                                         \
    " UNION ALL SELECT " kind ", send_time DIV 86400000, " name ", -COUNT(*) FROM msg_history"             \
    " WHERE conversation_id LIKE '" prefix "\\_%' GROUP BY 2, 3"

void expect_counts(void)
{
    static const char differ[] = "SELECT COUNT(*) FROM (SELECT SUM(n) AS more FROM (SELECT kind, day, name, n FROM msg_counts"
        COUNTED("1", "send_id", "si") COUNTED("2", "send_id", "sg") COUNTED("3", "SUBSTR(conversation_id, 4)", "sg")
        ") both_ways GROUP BY kind, day, name HAVING more <> 0) wrong";

    sql_await(0, 10, "SELECT counted_from FROM msg_counted");
    assert_int_equal(sql_int(differ, NULL), 0);
}

void expect_offsets(void)
{
    for (int32_t p = 0; p < PARTITIONS; p++) {
        int64_t end = stage_end_offset(p), until = oim_mono_ms() + 5000, committed;
        char text[16];

        snprintf(text, sizeof(text), "%d", p);
        assert_int_equal(sql_int("SELECT next_offset FROM archive_offset WHERE partition_id = ?", text, NULL), end);
        /* the commit to Kafka is asynchronous */
        while ((committed = stage_committed(p)) != end && (end || committed != -1) && oim_mono_ms() < until) usleep(50000);
        if (end || committed != -1) assert_int_equal(committed, end);
    }
}
