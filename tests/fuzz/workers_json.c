/*
 * JSON from anybody: every body that oim_json_decode takes must come out of oim_json_encode as JSON that gives the same message again,
 * and oim_json_parse must take it, too. Built with workers/common/oim_{json_*,arena,buf,log,err}.c and the proto library.
 */
#include "oim_arena.h"
#include "oim_buf.h"
#include "oim_err.h"
#include "oim_json.h"

#include "conversation.pb-c.h"
#include "group.pb-c.h"
#include "msg.pb-c.h"
#include "sdkws.pb-c.h"
#include "user.pb-c.h"

#include <stdlib.h>
#include <string.h>

static const ProtobufCMessageDescriptor *const descriptors[] = {
    &openim__sdkws__msg_data__descriptor,
    &openim__sdkws__user_info_with_ex__descriptor,
    &openim__sdkws__pull_message_by_seqs_resp__descriptor,
    &openim__conversation__conversation_req__descriptor,
    &openim__group__create_group_req__descriptor,
    &openim__user__user_register_req__descriptor,
    &openim__msg__get_msg_by_conversation_ids_req__descriptor,
};

static void check_message(struct oim_arena *a, const ProtobufCMessageDescriptor *d, const uint8_t *body, size_t len)
{
    struct oim_buf first = {0}, second = {0};
    ProtobufCMessage *msg;
    const char *why = NULL;
    json_t *tree;

    if (oim_json_decode(a, d, body, len, &msg, &why) != OIM_OK) {
        if (why == NULL || *why == '\0') abort();
        return;
    }
    oim_json_encode(&first, msg);
    if (oim_json_decode(a, d, first.data, first.len, &msg, &why) != OIM_OK) abort();
    oim_json_encode(&second, msg);
    if (first.len != second.len || memcmp(first.data, second.data, first.len) != 0) abort();
    if (oim_json_parse(first.data, first.len, &tree, a, &why) != OIM_OK) abort();
    json_decref(tree);
    oim_buf_free(&first);
    oim_buf_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct oim_arena *a;
    json_t *tree;
    const char *why = NULL;

    if (a == NULL) a = oim_arena_new(65536);
    if (size == 0) return 0;
    oim_arena_reset(a);
    check_message(a, descriptors[data[0] % (sizeof(descriptors) / sizeof(descriptors[0]))], data + 1, size - 1);
    if (oim_json_parse(data + 1, size - 1, &tree, a, &why) == OIM_OK) {
        struct oim_buf text = {0};

        oim_json_encode_value(&text, tree);
        json_decref(tree);
        if (oim_json_parse(text.data, text.len, &tree, a, &why) != OIM_OK) abort();
        json_decref(tree);
        oim_buf_free(&text);
    } else if (why == NULL) {
        abort();
    }
    return 0;
}
