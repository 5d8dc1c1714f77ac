/*
 * The lane of reads that may take long (LOGIC_SEARCH: searches, statistics, lists of everybody), so that nobody waits behind one. The rpc
 * lanes put such requests into a bounded queue; one thread with connections of its own answers them, at stop those that are left, but none
 * whose gateway waits no longer. A request that was in the queue when the process died is not answered: its gateway says so after its
 * deadline, as for any read.
 */
#include "rpc_request.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WAITING 64           /* requests */
#define WAITING_BYTES 4194304
#define TICK_MS 200          /* how often app->stop is looked at */
#define PATIENCE_MS 9000     /* a statement; gateways wait hardly longer */

struct waiting {
    uint8_t *value;
    size_t len;
    int64_t until; /* monotonic ms: so long its gateway waits */
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct waiting ring[WAITING];
    size_t first, n, bytes;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER};

bool logic_search_put(const Openim__Internal__Uplink *up)
{
    struct waiting w = {.len = openim__internal__uplink__get_packed_size(up)};
    bool put;

    w.until = up->deadline > 0 ? oim_mono_ms() + up->deadline - up->receivedat : INT64_MAX;
    w.value = malloc(w.len + 1);
    if (w.value == NULL) return false;
    openim__internal__uplink__pack(up, w.value);
    pthread_mutex_lock(&queue.lock);
    put = queue.n < WAITING && queue.bytes + w.len <= WAITING_BYTES;
    if (put) {
        queue.ring[(queue.first + queue.n++) % WAITING] = w;
        queue.bytes += w.len;
        pthread_cond_signal(&queue.filled);
    }
    pthread_mutex_unlock(&queue.lock);
    if (!put) free(w.value);
    return put;
}

/* false: nothing came within a tick. */
static bool queue_take(struct waiting *w)
{
    struct timespec until;
    bool taken;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += TICK_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    pthread_mutex_lock(&queue.lock);
    while (queue.n == 0 && pthread_cond_timedwait(&queue.filled, &queue.lock, &until) == 0) continue;
    taken = queue.n > 0;
    if (taken) {
        *w = queue.ring[queue.first];
        queue.first = (queue.first + 1) % WAITING;
        queue.n--;
        queue.bytes -= w->len;
    }
    pthread_mutex_unlock(&queue.lock);
    return taken;
}

static void search_loop(struct logic_requests *r)
{
    struct waiting w;

    oim_sql_patience(r->lane.db, PATIENCE_MS);
    for (;;) {
        bool stop = r->lane.app->stop; /* the rpc lanes stop as well: what they still put comes within a tick */

        logic_requests_report(r);
        if (!queue_take(&w)) {
            if (stop) return;
            continue;
        }
        if (oim_mono_ms() > w.until) {
            r->stale++;
        } else {
            logic_request(r, w.value, w.len);
        }
        free(w.value);
        (void)logic_lane_flush(&r->lane);
    }
}

int logic_search_run(struct oim_app *app, const struct oim_app_lane *lane)
{
    struct logic_requests r = {.searches = true};
    bool open = logic_requests_open(&r, app, lane->name);

    if (open) search_loop(&r);
    logic_requests_close(&r);
    return open ? OIM_OK : OIM_EFATAL;
}
