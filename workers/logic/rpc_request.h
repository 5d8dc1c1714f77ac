/*
 * What rpc_lane.c and rpc_search.c share: answering one request, whoever brought it. A lane owns its connections and buffers; nothing here
 * is used by two threads but the queue of searches.
 */
#ifndef OIM_LOGIC_RPC_REQUEST_H
#define OIM_LOGIC_RPC_REQUEST_H

#include "rpc.h"

struct logic_requests {
    struct logic_lane lane;
    struct oim_buf body, data, bare;
    bool searches; /* this lane runs LOGIC_SEARCH routes; others hand them on */
    uint64_t handled, failed, stale, unknown, poison, reported;
    int64_t report_at;
};

/* Everything but a producer. false: no memory; close what there is in any case. */
bool logic_requests_open(struct logic_requests *r, struct oim_app *app, const char *name);
void logic_requests_close(struct logic_requests *r);

/* One packed Uplink: its answer waits in lane.down for logic_lane_flush. false: it is none, or of no known source. */
bool logic_request(struct logic_requests *r, const uint8_t *value, size_t len);

/* Counts into the log, once a minute. */
void logic_requests_report(struct logic_requests *r);

/* rpc_search.c: a request for the search lane; copied. false: too many wait already. */
bool logic_search_put(const Openim__Internal__Uplink *up);

#endif
