/*
 * Notices that the whole process stood still: a thread ticks ten times a second, whatever the lanes wait for. A gap in its ticks that is
 * longer than Kafka's session time-out means that another process may own our partitions by now. Whoever wakes up first, the ticking
 * thread or a lane, sees the gap. Started by main.c, asked by msg_deliver.c.
 */
#include "msg.h"

#include "oim_log.h"

#include <pthread.h>
#include <time.h>

#define TICK_MS 100

static atomic_llong last_tick;
static atomic_bool stalled;
static int64_t limit_ms;

/* Counts on while the machine sleeps. */
static int64_t boot_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool logic_stalled(void)
{
    return atomic_load(&stalled) || boot_ms() - atomic_load(&last_tick) > limit_ms;
}

static void *ticker(void *arg)
{
    struct oim_app *app = arg;

    while (!app->stop) {
        nanosleep(&(struct timespec){.tv_nsec = TICK_MS * 1000000}, NULL);
        if (boot_ms() - atomic_load(&last_tick) > limit_ms) {
            atomic_store(&stalled, true);
            oim_log(OIM_LOG_WARN, "this process stood still, others may own its partitions", "ms=%lld",
                    (long long)(boot_ms() - atomic_load(&last_tick)));
        }
        atomic_store(&last_tick, boot_ms());
    }
    return NULL;
}

int logic_stall_start(struct oim_app *app)
{
    pthread_t thread;

    limit_ms = app->conf.kafka.session_timeout_ms - 1000; /* before the others may begin */
    atomic_store(&last_tick, boot_ms());
    if (pthread_create(&thread, NULL, ticker, app)) return OIM_EFATAL;
    pthread_detach(thread);
    return OIM_OK;
}
