/*
 * Version logs in SQL; version.h holds the contract, rest.md D.1 and D.2 the rules. Called by friend.c,
 * group.c and conversation.c for reading, and by whoever changes their rows for writing.
 */
#include "version.h"

#include "oim_hash.h"

#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#define CHANGES_MAX 200 /* more than this and the client starts over */
#define DOC_ID_BYTES 12

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

static int docs_create(struct logic_call *call, enum logic_log kind, char *const *owners, size_t n, uint64_t version)
{
    struct oim_sql_value *args = logic_array(call, n * 4, sizeof(*args)), *arg = args;
    struct oim_buf sql = {0};
    int rc;

    for (size_t i = 0; i < n; i++) {
        uint8_t *id = oim_arena_alloc(call->lane->arena, DOC_ID_BYTES);

        doc_id_make(id);
        *arg++ = oim_sql_int(kind);
        *arg++ = oim_sql_text(owners[i]);
        *arg++ = oim_sql_blob(id, DOC_ID_BYTES);
        *arg++ = oim_sql_uint(version);
    }
    oim_buf_puts(&sql, "INSERT IGNORE INTO version_docs (kind, owner_id, doc_id, version) VALUES ");
    oim_sql_places(&sql, n, 4);
    oim_buf_putc(&sql, '\0');
    rc = oim_sql_exec(call->lane->db, call->lane->arena, (const char *)sql.data, args, n * 4, NULL, NULL);
    oim_buf_free(&sql);
    return rc;
}

static int docs_read(struct logic_call *call, enum logic_log kind, char *const *owners, size_t n, struct logic_version *out)
{
    static const char head[] = "SELECT owner_id, doc_id, version FROM version_docs WHERE kind = ? AND owner_id IN";
    struct oim_arena *a = call->lane->arena;
    struct logic_index *index = logic_index_new(a, owners, n);
    struct oim_sql_value args[] = {oim_sql_int(kind)};
    struct oim_sql_rows rows;
    int rc = logic_sql_in(call->lane, head, args, 1, logic_text_values(a, owners, n), n, "", &rows);

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

int logic_versions(struct logic_call *call, enum logic_log kind, char *const *owners, size_t n, struct logic_version *out)
{
    char **missing = logic_list(call, n);
    size_t n_missing = 0;
    int rc;

    memset(out, 0, n * sizeof(*out));
    rc = docs_read(call, kind, owners, n, out);
    if (rc) return rc;
    for (size_t i = 0; i < n; i++) {
        if (out[i].id == NULL) missing[n_missing++] = owners[i];
    }
    for (size_t done = 0; done < n_missing; done += 256) {
        rc = docs_create(call, kind, missing + done, n_missing - done < 256 ? n_missing - done : 256, 1);
        if (rc) return rc;
    }
    return n_missing ? docs_read(call, kind, owners, n, out) : OIM_OK;
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

int logic_changes_own(struct logic_call *call, enum logic_log kind, char *owner, const char *version_id, uint64_t version,
                      struct logic_version *now, struct logic_changes *changes)
{
    int rc;

    if (owner[0] == '\0') return logic_args(call, "userID is empty");
    rc = logic_self(call, owner);
    if (rc == OIM_OK) rc = logic_versions(call, kind, &owner, 1, now);
    return rc ? rc : logic_changes(call, kind, owner, now, version_id, version, changes);
}

int logic_version_write(struct logic_lane *lane, enum logic_log kind, const char *owner, char *const *elements, size_t n,
                        enum logic_state state)
{
    static const char bump[] = "INSERT INTO version_docs (kind, owner_id, doc_id, version) VALUES (?, ?, ?, 1)"
                               " ON DUPLICATE KEY UPDATE version = version + 1";
    static const char read[] = "SELECT version FROM version_docs WHERE kind = ? AND owner_id = ?";
    struct oim_sql_value *args = oim_arena_alloc(lane->arena, n * 6 * sizeof(*args)), *arg = args;
    char kind_text[16] = {(char)('0' + kind)};
    struct oim_sql_rows rows = {0};
    struct oim_buf sql = {0};
    uint8_t doc[DOC_ID_BYTES];
    uint64_t version;
    int rc;

    doc_id_make(doc);
    struct oim_sql_value head[] = {oim_sql_int(kind), oim_sql_text(owner), oim_sql_blob(doc, sizeof(doc))};
    rc = oim_sql_exec(lane->db, lane->arena, bump, head, 3, NULL, NULL);
    if (rc == OIM_OK) rc = oim_sql_exec(lane->db, lane->arena, read, head, 2, &rows, NULL);
    if (rc) return rc;
    version = (uint64_t)logic_cell_int(&rows, 0, 0);

    for (size_t i = 0; i < n; i++) {
        const char *parts[] = {kind_text, owner, elements[i]};
        uint8_t *hash = oim_arena_alloc(lane->arena, 16);

        oim_hash_sha128(hash, parts, 3);
        *arg++ = oim_sql_int(kind);
        *arg++ = oim_sql_text(owner);
        *arg++ = oim_sql_text(elements[i]);
        *arg++ = oim_sql_blob(hash, 16);
        *arg++ = oim_sql_int(state);
        *arg++ = oim_sql_uint(version);
    }
    oim_buf_puts(&sql, "INSERT INTO version_entries (kind, owner_id, element_id, element_hash, state, version) VALUES ");
    oim_sql_places(&sql, n, 6);
    oim_buf_puts(&sql, " ON DUPLICATE KEY UPDATE state = VALUES(state), version = VALUES(version)");
    oim_buf_putc(&sql, '\0');
    rc = oim_sql_exec(lane->db, lane->arena, (const char *)sql.data, args, n * 6, NULL, NULL);
    oim_buf_free(&sql);
    return rc;
}
