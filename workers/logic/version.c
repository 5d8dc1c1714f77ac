/*
 * Version logs in SQL; version.h holds the contract, rest.md D.1 and D.2 the rules. Called by friend.c,
 * group.c and conversation.c for reading, and by whoever changes their rows for writing.
 */
#include "version.h"

#include "oim_hash.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define CHANGES_MAX 200 /* more than this and the client starts over */
#define DOC_ID_BYTES 12
#define TRIM_EACH 128 /* versions */

/* Seconds, then random: never all zero. */
static void doc_id_make(uint8_t id[DOC_ID_BYTES])
{
    uint32_t now = (uint32_t)(oim_now_ms() / 1000);

    if (getrandom(id, DOC_ID_BYTES, 0) != DOC_ID_BYTES) {
        int64_t mono = oim_mono_ms();
        memcpy(id + 4, &mono, sizeof(mono));
    }
    for (int i = 0; i < 4; i++) id[i] = (uint8_t)(now >> (24 - 8 * i));
}

/* A row for each owner, of its own id, at this version; what is there already follows the tail. */
static int docs_write(struct logic_lane *lane, enum logic_log kind, const char *head, char *const *owners, size_t n, uint64_t version,
                      const char *tail)
{
    struct oim_sql_value *args = oim_arena_alloc(lane->arena, (n ? n : 1) * 4 * sizeof(*args)), *arg = args;

    for (size_t i = 0; i < n; i++) {
        uint8_t *id = oim_arena_alloc(lane->arena, DOC_ID_BYTES);

        doc_id_make(id);
        *arg++ = oim_sql_int(kind);
        *arg++ = oim_sql_text(owners[i]);
        *arg++ = oim_sql_blob(id, DOC_ID_BYTES);
        *arg++ = oim_sql_uint(version);
    }
    return logic_sql_rows(lane, head, args, 4, n, tail);
}

int logic_versions_read(struct logic_call *call, enum logic_log kind, char *const *owners, size_t n, struct logic_version *out)
{
    static const char head[] = "SELECT owner_id, doc_id, version FROM version_docs WHERE kind = ? AND owner_id IN";
    struct oim_arena *a = call->lane->arena;
    struct logic_index *index = logic_index_new(a, owners, n);
    struct oim_sql_value args[] = {oim_sql_int(kind)};
    struct oim_sql_rows rows;
    int rc = logic_sql_in(call->lane, head, args, 1, logic_text_values(a, owners, n), n, "", &rows);

    memset(out, 0, n * sizeof(*out));
    if (rc) return rc;
    for (size_t i = 0; i < rows.n; i++) {
        size_t at = logic_index_find(index, logic_cell_text(&rows, i, 0));
        const struct oim_sql_value *id = oim_sql_cell(&rows, i, 1);

        if (at == SIZE_MAX || id->len != DOC_ID_BYTES) continue;
        out[at].id = oim_arena_alloc(a, 2 * DOC_ID_BYTES + 1);
        oim_hash_hex(out[at].id, id->p, DOC_ID_BYTES);
        out[at].version = (uint64_t)logic_cell_int(&rows, i, 2);
    }
    for (size_t i = 0; i < n; i++) {
        if (out[i].id == NULL) out[i] = out[logic_index_find(index, owners[i])];
    }
    return OIM_OK;
}

uint64_t logic_version_stamp(const struct logic_version *version)
{
    uint8_t all[2 * DOC_ID_BYTES + sizeof(version->version)];
    uint64_t stamp;

    if (version->id == NULL) return 0;
    memcpy(all, version->id, 2 * DOC_ID_BYTES);
    memcpy(all + 2 * DOC_ID_BYTES, &version->version, sizeof(version->version));
    stamp = oim_hash_md5_64(all, sizeof(all));
    return stamp ? stamp : 1;
}

int logic_versions(struct logic_call *call, enum logic_log kind, char *const *owners, size_t n, struct logic_version *out)
{
    char **missing = logic_list(call, n);
    size_t n_missing = 0;
    int rc;

    rc = logic_versions_read(call, kind, owners, n, out);
    if (rc) return rc;
    for (size_t i = 0; i < n; i++) {
        if (out[i].id == NULL) missing[n_missing++] = owners[i];
    }
    rc = docs_write(call->lane, kind, "INSERT IGNORE INTO version_docs (kind, owner_id, doc_id, version) VALUES ", missing, n_missing, 1, "");
    if (rc) return rc;
    return n_missing ? logic_versions_read(call, kind, owners, n, out) : OIM_OK;
}

int logic_changes(struct logic_call *call, enum logic_log kind, const char *owner, const struct logic_version *now,
                  const char *version_id, uint64_t version, struct logic_changes *changes)
{
    static const char sql[] = "SELECT element_id, state, version FROM version_entries"
                              " WHERE kind = ? AND owner_id = ? AND version > ? ORDER BY version, element_id LIMIT 201";
    struct oim_sql_value args[] = {oim_sql_int(kind), oim_sql_text(owner), oim_sql_uint(version)};
    struct oim_sql_rows rows = {0};
    int rc;

    memset(changes, 0, sizeof(*changes));
    if (version == 0 || strcmp(version_id, now->id) || version > now->version) {
        changes->full = true;
        return OIM_OK;
    }
    if (version == now->version) return OIM_OK;
    rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 3, &rows, NULL);
    if (rc) return rc;
    if (rows.n > CHANGES_MAX) {
        changes->full = true;
        return OIM_OK;
    }
    changes->insert = logic_list(call, rows.n);
    changes->update = logic_list(call, rows.n);
    changes->delete_ = logic_list(call, rows.n);
    for (size_t i = 0; i < rows.n; i++) {
        char *id = logic_cell_text(&rows, i, 0);

        if (strcmp(id, LOGIC_SORT) == 0) {
            changes->sort_version = (uint64_t)logic_cell_int(&rows, i, 2);
        } else if (id[0] == '\0') {
            changes->group = true;
        } else if (logic_cell_int(&rows, i, 1) == LOGIC_INSERT) {
            changes->insert[changes->n_insert++] = id;
        } else if (logic_cell_int(&rows, i, 1) == LOGIC_UPDATE) {
            changes->update[changes->n_update++] = id;
        } else {
            changes->delete_[changes->n_delete++] = id;
        }
    }
    return OIM_OK;
}

/* Members that come and go change the row (memberCount), and so does whoever writes LOGIC_SORT for the owner. */
static bool changes_row(const char *element, enum logic_state state)
{
    return state != LOGIC_UPDATE || strcmp(element, LOGIC_GROUP) == 0 || strcmp(element, LOGIC_SORT) == 0;
}

int logic_version_before_row(struct logic_call *call, const char *group_id, const char *user_id, const struct logic_version *now,
                             uint64_t *version)
{
    static const char sql[] = "SELECT element_id, state, version FROM version_entries"
                              " WHERE kind = ? AND owner_id = ? ORDER BY version DESC LIMIT 201";
    struct oim_sql_value args[] = {oim_sql_int(LOGIC_LOG_MEMBER), oim_sql_text(group_id)};
    struct oim_sql_rows rows = {0};
    uint64_t step = 0, own = 0;
    size_t newer = 0;
    int rc = oim_sql_exec(call->lane->db, call->lane->arena, sql, args, 2, &rows, NULL);

    *version = now->version;
    if (rc) return rc;
    for (size_t i = 0; i < rows.n && own == 0; i++) {
        const char *element = logic_cell_text(&rows, i, 0);
        enum logic_state state = (enum logic_state)logic_cell_int(&rows, i, 1);
        uint64_t at = (uint64_t)logic_cell_int(&rows, i, 2);

        if (at < step) break;
        newer++;
        if (step == 0 && changes_row(element, state)) step = at;
        if (state == LOGIC_INSERT && strcmp(element, user_id) == 0) own = at;
    }
    /* more than CHANGES_MAX entries, and the member would start over again and again */
    if (own == 0 && step > 1 && newer <= CHANGES_MAX && step <= now->version) *version = step - 1;
    return OIM_OK;
}

int logic_changes_own(struct logic_call *call, enum logic_log kind, char *owner, const char *version_id, uint64_t version,
                      struct logic_version *now, struct logic_changes *changes)
{
    int rc;

    if (owner[0] == '\0') return logic_args(call, "userID is empty");
    rc = logic_self(call, owner);
    if (rc == OIM_OK) rc = logic_versions(call, kind, &owner, 1, now);
    return rc ? rc : logic_changes(call, kind, owner, now, version_id, version, changes);
}

/* ---- writing ---- */

/* Rows of version_entries for one version. */
static void entry_args(struct logic_lane *lane, struct oim_sql_value *arg, enum logic_log kind, const char *owner, const char *element,
                       enum logic_state state, uint64_t version)
{
    char kind_text[2] = {(char)('0' + kind), '\0'};
    const char *parts[] = {kind_text, owner, element};
    uint8_t *hash = oim_arena_alloc(lane->arena, 16);

    oim_hash_sha128(hash, parts, 3);
    arg[0] = oim_sql_int(kind);
    arg[1] = oim_sql_text(owner);
    arg[2] = oim_sql_text(element);
    arg[3] = oim_sql_blob(hash, 16);
    arg[4] = oim_sql_int(state);
    arg[5] = oim_sql_uint(version);
}

static int entries_write(struct logic_lane *lane, const struct oim_sql_value *args, size_t n)
{
    static const char head[] = "INSERT INTO version_entries (kind, owner_id, element_id, element_hash, state, version) VALUES ";

    return logic_sql_rows(lane, head, args, 6, n, " ON DUPLICATE KEY UPDATE state = VALUES(state), version = VALUES(version)");
}

/* A client that is more than CHANGES_MAX entries behind starts over: older ones are of no use to anybody. steps: those just done. */
static int trim(struct logic_lane *lane, enum logic_log kind, const char *owner, uint64_t version, uint32_t steps)
{
    static const char find[] = "SELECT version FROM version_entries WHERE kind = ? AND owner_id = ? ORDER BY version DESC LIMIT 1 OFFSET ?";
    /* a scan, which the server likes when most entries are of one log, would wait for the locks of all others */
    static const char drop[] = "DELETE e FROM version_entries e FORCE INDEX (since) WHERE kind = ? AND owner_id = ? AND version < ?";
    struct oim_sql_value args[] = {oim_sql_int(kind), oim_sql_text(owner), oim_sql_int(CHANGES_MAX)};
    struct oim_sql_rows rows = {0};
    int rc;

    if (version % TRIM_EACH >= steps) return OIM_OK;
    rc = oim_sql_exec(lane->db, lane->arena, find, args, 3, &rows, NULL);
    if (rc || rows.n == 0) return rc;
    args[2] = oim_sql_int(logic_cell_int(&rows, 0, 0));
    return oim_sql_exec(lane->db, lane->arena, drop, args, 3, NULL, NULL);
}

int logic_version_write(struct logic_lane *lane, enum logic_log kind, const char *owner, char *const *elements, size_t n,
                        enum logic_state state, struct logic_version *out)
{
    return logic_version_write_steps(lane, kind, owner, elements, n, state, 1, out);
}

int logic_version_write_steps(struct logic_lane *lane, enum logic_log kind, const char *owner, char *const *elements, size_t n,
                              enum logic_state state, uint32_t steps, struct logic_version *out)
{
    static const char bump[] = "INSERT INTO version_docs (kind, owner_id, doc_id, version) VALUES (?, ?, ?, ?)"
                               " ON DUPLICATE KEY UPDATE version = version + VALUES(version)";
    static const char read[] = "SELECT version, doc_id FROM version_docs WHERE kind = ? AND owner_id = ?";
    struct oim_sql_value *args = oim_arena_alloc(lane->arena, (n ? n : 1) * 6 * sizeof(*args));
    struct oim_sql_rows rows = {0};
    uint8_t doc[DOC_ID_BYTES];
    uint64_t version;
    int rc;

    doc_id_make(doc);
    struct oim_sql_value head[] = {oim_sql_int(kind), oim_sql_text(owner), oim_sql_blob(doc, sizeof(doc)), oim_sql_uint(steps)};
    rc = oim_sql_exec(lane->db, lane->arena, bump, head, 4, NULL, NULL);
    if (rc == OIM_OK) rc = oim_sql_exec(lane->db, lane->arena, read, head, 2, &rows, NULL);
    if (rc) return rc;
    if (rows.n == 0) return OIM_ECONFLICT; /* dropped meanwhile */
    version = (uint64_t)logic_cell_int(&rows, 0, 0);
    if (out) {
        out->version = version;
        out->id = oim_arena_alloc(lane->arena, 2 * DOC_ID_BYTES + 1);
        oim_hash_hex(out->id, oim_sql_cell(&rows, 0, 1)->p, DOC_ID_BYTES);
    }
    for (size_t i = 0; i < n; i++) entry_args(lane, args + i * 6, kind, owner, elements[i], state, version);
    rc = entries_write(lane, args, n);
    return rc ? rc : trim(lane, kind, owner, version, steps);
}

/* A log of logic_version_write_each. */
struct step {
    char *owner, *element;
    uint64_t version;
    size_t position;
};

static int by_owner(const void *a, const void *b)
{
    return strcmp(((const struct step *)a)->owner, ((const struct step *)b)->owner);
}

static int docs_versions(struct logic_lane *lane, enum logic_log kind, struct step *steps, size_t n)
{
    static const char head[] = "SELECT owner_id, version FROM version_docs WHERE kind = ? AND owner_id IN";
    struct oim_sql_value args[] = {oim_sql_int(kind)};
    struct oim_sql_value *owners = oim_arena_alloc(lane->arena, n * sizeof(*owners));
    struct oim_sql_rows rows;
    int rc;

    for (size_t i = 0; i < n; i++) owners[i] = oim_sql_text(steps[i].owner);
    rc = logic_sql_in(lane, head, args, 1, owners, n, "", &rows);
    for (size_t r = 0; rc == OIM_OK && r < rows.n; r++) {
        struct step key = {.owner = logic_cell_text(&rows, r, 0)}, *found = bsearch(&key, steps, n, sizeof(key), by_owner);

        if (found) found->version = (uint64_t)logic_cell_int(&rows, r, 1);
    }
    return rc;
}

int logic_version_write_each(struct logic_lane *lane, enum logic_log kind, char *const *owners, size_t n, char *const *elements,
                             bool one_element, enum logic_state state, uint64_t *versions)
{
    static const char bump[] = "INSERT INTO version_docs (kind, owner_id, doc_id, version) VALUES ";
    struct step *steps = oim_arena_alloc(lane->arena, (n ? n : 1) * sizeof(*steps));
    struct oim_sql_value *args = oim_arena_alloc(lane->arena, (n ? n : 1) * 6 * sizeof(*args));
    char **sorted = oim_arena_alloc(lane->arena, (n ? n : 1) * sizeof(*sorted));
    int rc;

    for (size_t i = 0; i < n; i++) steps[i] = (struct step){owners[i], elements[one_element ? 0 : i], 0, i};
    qsort(steps, n, sizeof(*steps), by_owner); /* two transactions never wait for each other crosswise */
    for (size_t i = 0; i < n; i++) sorted[i] = steps[i].owner;
    rc = docs_write(lane, kind, bump, sorted, n, 1, " ON DUPLICATE KEY UPDATE version = version + 1");
    if (rc == OIM_OK && n) rc = docs_versions(lane, kind, steps, n);
    for (size_t i = 0; i < n && rc == OIM_OK; i++) {
        if (steps[i].version == 0) return OIM_ECONFLICT;
        entry_args(lane, args + i * 6, kind, steps[i].owner, steps[i].element, state, steps[i].version);
        if (versions) versions[steps[i].position] = steps[i].version;
    }
    if (rc == OIM_OK) rc = entries_write(lane, args, n);
    for (size_t i = 0; i < n && rc == OIM_OK; i++) rc = trim(lane, kind, steps[i].owner, steps[i].version, 1);
    return rc;
}

/* The ids of new documents and of entries are made as doc_id_make and entry_args make them, out of user_id and a seed. */
int logic_version_leave_all(struct logic_lane *lane, const char *group_id)
{
    static const char docs[] = "INSERT INTO version_docs (kind, owner_id, doc_id, version)"
                               " SELECT ?, user_id, UNHEX(SUBSTR(SHA2(CONCAT(?, user_id), 256), 1, 24)), 1"
                               " FROM group_members WHERE group_id = ? ORDER BY user_id"
                               " ON DUPLICATE KEY UPDATE version = version_docs.version + 1";
    static const char entries[] =
        "INSERT INTO version_entries (kind, owner_id, element_id, element_hash, state, version)"
        " SELECT d.kind, d.owner_id, m.group_id,"
        " UNHEX(SUBSTR(SHA2(CONCAT(d.kind, CHAR(0), d.owner_id, CHAR(0), m.group_id), 256), 1, 32)), ?, d.version"
        " FROM group_members m JOIN version_docs d ON d.kind = ? AND d.owner_id = m.user_id WHERE m.group_id = ? ORDER BY m.user_id"
        " ON DUPLICATE KEY UPDATE state = VALUES(state), version = VALUES(version)";
    uint8_t seed[DOC_ID_BYTES];
    char text[2 * DOC_ID_BYTES + 1];
    int rc;

    doc_id_make(seed);
    oim_hash_hex(text, seed, sizeof(seed));
    struct oim_sql_value doc_args[] = {oim_sql_int(LOGIC_LOG_JOIN), oim_sql_text(text), oim_sql_text(group_id)};
    struct oim_sql_value values[] = {oim_sql_int(LOGIC_DELETE), oim_sql_int(LOGIC_LOG_JOIN), oim_sql_text(group_id)};
    rc = oim_sql_exec(lane->db, lane->arena, docs, doc_args, 3, NULL, NULL);
    return rc ? rc : oim_sql_exec(lane->db, lane->arena, entries, values, 3, NULL, NULL);
}

int logic_version_drop(struct logic_lane *lane, enum logic_log kind, const char *owner)
{
    struct oim_sql_value args[] = {oim_sql_int(kind), oim_sql_text(owner)};
    int rc = oim_sql_exec(lane->db, lane->arena, "DELETE FROM version_docs WHERE kind = ? AND owner_id = ?", args, 2, NULL, NULL);

    if (rc) return rc;
    return oim_sql_exec(lane->db, lane->arena, "DELETE e FROM version_entries e FORCE INDEX (since) WHERE kind = ? AND owner_id = ?", args,
                        2, NULL, NULL);
}
