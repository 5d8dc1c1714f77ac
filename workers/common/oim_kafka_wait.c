/*
 * One eventfd on which a lane sleeps; oim_kafka.h holds the contract.
 *
 * librdkafka writes to it when a queue turns from empty to not empty, and only then. So a lane must
 * have found both queues empty since its last sleep, which the pattern in oim_kafka.h does: whatever
 * comes between the look at a queue and the sleep has written to the eventfd, and the eventfd is
 * cleared only by the sleep itself, before the next look. A queue that was left with something in it
 * wakes nobody.
 */
#include "oim_kafka_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct oim_kafka_wait {
    int fd;
    rd_kafka_queue_t *queues[2]; /* references of our own: the order of the frees does not matter */
};

struct oim_kafka_wait *oim_kafka_wait_new(struct oim_kafka_consumer *c, struct oim_kafka_producer *p)
{
    static const uint64_t one = 1;
    struct oim_kafka_wait *w = calloc(1, sizeof(*w));

    if (w == NULL) return NULL;
    w->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (w->fd < 0) {
        oim_log(OIM_LOG_ERROR, "eventfd failed", "errno=%d", errno);
        free(w);
        return NULL;
    }
    if (c) w->queues[0] = kafka_consumer_queue(c);
    if (p) w->queues[1] = kafka_producer_queue(p);
    for (int i = 0; i < 2; i++) {
        if (w->queues[i]) rd_kafka_queue_io_event_enable(w->queues[i], w->fd, &one, sizeof(one));
    }
    oim_kafka_wake(w); /* what is there already has written nothing */
    return w;
}

void oim_kafka_wait_free(struct oim_kafka_wait *w)
{
    if (w == NULL) return;
    for (int i = 0; i < 2; i++) {
        if (w->queues[i] == NULL) continue;
        /* or a thread of the library writes to a number that is another file by then */
        rd_kafka_queue_io_event_enable(w->queues[i], -1, NULL, 0);
        rd_kafka_queue_destroy(w->queues[i]);
    }
    close(w->fd);
    free(w);
}

int oim_kafka_wait_ms(struct oim_kafka_wait *w, int timeout_ms)
{
    struct pollfd pfd = {.fd = w->fd, .events = POLLIN};
    uint64_t count;

    if (poll(&pfd, 1, timeout_ms) <= 0) return 0;
    return read(w->fd, &count, sizeof(count)) > 0;
}

void oim_kafka_wake(struct oim_kafka_wait *w)
{
    uint64_t one = 1;

    if (write(w->fd, &one, sizeof(one)) < 0) {
        return; /* the counter is full: it is awake */
    }
}
