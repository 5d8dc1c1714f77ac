/*
 * What every client of ours has in common: settings, and what its errors mean. Used by the other
 * oim_kafka*.c.
 *
 * librdkafka tries again by itself and says so each time. Our log has one line when no broker is left
 * and one when a broker has answered again; broken connections alone are at debug.
 */
#include "oim_kafka_internal.h"

#include "oim_app.h"

#include <stdlib.h>
#include <string.h>

#define TELL_AGAIN_MS 60000

static void log_line(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    enum oim_log_level own = level <= 4 ? OIM_LOG_WARN : level <= 6 ? OIM_LOG_INFO : OIM_LOG_DEBUG;

    /* these come to error_event, too; a commit that failed is made again by the next one, and says so many times a second meanwhile */
    if (strcmp(facility, "FAIL") == 0 || strcmp(facility, "ERROR") == 0 || strcmp(facility, "FATAL") == 0 ||
        strcmp(facility, "COMMITFAIL") == 0) {
        own = OIM_LOG_DEBUG;
    }
    oim_log(own, "kafka", "client=%s %s=\"%s\"", rk ? rd_kafka_name(rk) : "-", facility, text);
}

static void error_event(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
    if (opaque) kafka_link_error(opaque, rk, err, reason);
}

static void fatal(struct kafka_link *link, rd_kafka_t *rk)
{
    static const char fenced[] = "another process has the same general.instance: give each its own";
    char why[256];
    rd_kafka_resp_err_t err = rd_kafka_fatal_error(rk, why, sizeof(why));

    if (!link->fatal) {
        oim_log(OIM_LOG_ERROR, "kafka refuses this process", "client=%s why=\"%s\" do=\"%s\"",
                rd_kafka_name(rk), why, err == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID ? fenced : "see the broker");
    }
    link->fatal = true;
}

void kafka_link_error(struct kafka_link *link, rd_kafka_t *rk, rd_kafka_resp_err_t err, const char *why)
{
    int64_t now = oim_mono_ms();

    switch (err) {
    case RD_KAFKA_RESP_ERR__FATAL: fatal(link, rk); return;
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
        if (!link->down) oim_log(OIM_LOG_WARN, "kafka is away", "client=%s why=\"%s\"", rd_kafka_name(rk), why);
        link->down = true;
        return;
    case RD_KAFKA_RESP_ERR__TRANSPORT: /* one connection of several, tried again */
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__DESTROY: return;
    default:
        if (err == (rd_kafka_resp_err_t)link->told && now < link->told_at + TELL_AGAIN_MS) return;
        oim_log(OIM_LOG_WARN, "kafka", "client=%s error=%s why=\"%s\"", rd_kafka_name(rk), rd_kafka_err2name(err), why);
        link->told = err;
        link->told_at = now;
    }
}

void kafka_link_up(struct kafka_link *link, rd_kafka_t *rk)
{
    if (link->down) oim_log(OIM_LOG_INFO, "kafka is back", "client=%s", rd_kafka_name(rk));
    link->down = false;
}

rd_kafka_conf_t *kafka_conf_new(const struct oim_conf *conf, const char *client, struct kafka_link *link)
{
    rd_kafka_conf_t *kc = rd_kafka_conf_new();

    kafka_conf_set(kc, "bootstrap.servers", conf->kafka.brokers);
    kafka_conf_set(kc, "client.id", client);
    kafka_conf_set(kc, "socket.nagle.disable", "true");
    kafka_conf_set(kc, "socket.keepalive.enable", "true");
    kafka_conf_set(kc, "reconnect.backoff.ms", "100");
    kafka_conf_set(kc, "reconnect.backoff.max.ms", "1000");
    kafka_conf_set(kc, "topic.metadata.refresh.interval.ms", "30000");
    kafka_conf_set(kc, "topic.metadata.refresh.fast.interval.ms", "100");
    kafka_conf_set(kc, "log.connection.close", "false");
    rd_kafka_conf_set_opaque(kc, link);
    rd_kafka_conf_set_log_cb(kc, log_line);
    rd_kafka_conf_set_error_cb(kc, error_event);
    return kc;
}

void kafka_conf_set(rd_kafka_conf_t *kc, const char *name, const char *value)
{
    char why[256];

    if (rd_kafka_conf_set(kc, name, value, why, sizeof(why)) != RD_KAFKA_CONF_OK) {
        oim_log(OIM_LOG_ERROR, "kafka setting refused", "name=%s why=\"%s\"", name, why);
        abort();
    }
}

void kafka_conf_set_int(rd_kafka_conf_t *kc, const char *name, int value)
{
    char text[16];

    snprintf(text, sizeof(text), "%d", value);
    kafka_conf_set(kc, name, text);
}
