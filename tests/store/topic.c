/* Topics of our own on the real broker. */
#include "store.h"

#include "oim_kafka_internal.h"

#include <stdio.h>

static rd_kafka_t *admin(void)
{
    char why[256];
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, kafka_conf_new(&store_conf, "store-admin", NULL), why, sizeof(why));

    assert_non_null(rk);
    return rk;
}

void store_topic_create(const char *topic, int partitions)
{
    rd_kafka_t *rk = admin();
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    char why[256];
    rd_kafka_NewTopic_t *new = rd_kafka_NewTopic_new(topic, partitions, 1, why, sizeof(why));
    const rd_kafka_topic_result_t **results;
    rd_kafka_event_t *event;
    size_t n;

    assert_non_null(new);
    rd_kafka_CreateTopics(rk, &new, 1, NULL, queue);
    event = rd_kafka_queue_poll(queue, 15000);
    assert_non_null(event);
    results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
    assert_int_equal(n, 1);
    assert_int_equal(rd_kafka_topic_result_error(results[0]), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_event_destroy(event);
    rd_kafka_NewTopic_destroy(new);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
}

void store_topic_delete(const char *topic)
{
    rd_kafka_t *rk = admin();
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_DeleteTopic_t *gone = rd_kafka_DeleteTopic_new(topic);
    rd_kafka_event_t *event;

    rd_kafka_DeleteTopics(rk, &gone, 1, NULL, queue);
    event = rd_kafka_queue_poll(queue, 15000);
    if (event) rd_kafka_event_destroy(event);
    rd_kafka_DeleteTopic_destroy(gone);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
}

void store_topic_trim(const char *topic, int32_t partition, int64_t before)
{
    rd_kafka_t *rk = admin();
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(1);
    rd_kafka_DeleteRecords_t *records;
    rd_kafka_event_t *event;

    rd_kafka_topic_partition_list_add(offsets, topic, partition)->offset = before;
    records = rd_kafka_DeleteRecords_new(offsets);
    rd_kafka_DeleteRecords(rk, &records, 1, NULL, queue);
    event = rd_kafka_queue_poll(queue, 15000);
    assert_non_null(event);
    assert_int_equal(rd_kafka_event_error(event), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_event_destroy(event);
    rd_kafka_DeleteRecords_destroy(records);
    rd_kafka_topic_partition_list_destroy(offsets);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
}
