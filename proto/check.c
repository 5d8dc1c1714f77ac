/*
 * Checks that protobuf-c treats our .proto texts as README.md promises: optional
 * scalars keep their presence, maps are recognisable entry messages with the
 * standard wire form, wrappers are recognisable, repeated numbers are written
 * packed and read both ways, zero values are not written. The expected bytes are
 * written by hand from the protobuf encoding rules.
 *
 * Run by `make check`; a new version of protobuf-c must pass it.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conversation.pb-c.h"
#include "group.pb-c.h"
#include "msg.pb-c.h"
#include "sdkws.pb-c.h"
#include "wrappers.pb-c.h"

#define CHECK(cond)                                                           \
    do {                                                                      \
        if (!(cond)) {                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);        \
            exit(1);                                                          \
        }                                                                     \
    } while (0)


static void
expect_bytes(const void *msg, const char *bytes, size_t len)
{
    uint8_t  buf[128];

    CHECK(protobuf_c_message_get_packed_size(msg) == len);
    CHECK(protobuf_c_message_pack(msg, buf) == len);
    CHECK(memcmp(buf, bytes, len) == 0);
}


/* proto3 `optional T f`: a oneof named _f that holds f alone. */
static void
check_optional(void)
{
    Openim__Group__DismissGroupReq   req = OPENIM__GROUP__DISMISS_GROUP_REQ__INIT;
    Openim__Group__DismissGroupReq  *back;
    const ProtobufCFieldDescriptor  *f;
    const uint32_t                  *which;

    expect_bytes(&req, "", 0);

    f = protobuf_c_message_descriptor_get_field_by_name(req.base.descriptor,
                                                        "sendMessage");
    CHECK(f != NULL && (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF));

    /* what a transcoder does: the case member holds the number of the set field */
    which = (const uint32_t *) ((const char *) &req + f->quantifier_offset);
    CHECK(*which == 0);
    req._send_message_case = f->id;
    CHECK(*which == f->id);
    expect_bytes(&req, "\x18\x00", 2);

    back = openim__group__dismiss_group_req__unpack(NULL, 2,
                                                    (const uint8_t *) "\x18\x00");
    CHECK(back != NULL && back->_send_message_case == f->id);
    CHECK(back->sendmessage == 0);
    openim__group__dismiss_group_req__free_unpacked(back, NULL);
}


/* map<K, V> f: repeated nested message FEntry { key = 1; value = 2; }. */
static void
check_map(void)
{
    static const char  bytes[] = "\x9a\x01\x05\x0a\x01" "a\x10\x01";

    Openim__Sdkws__MsgData                  msg = OPENIM__SDKWS__MSG_DATA__INIT;
    Openim__Sdkws__MsgData                 *back;
    Openim__Sdkws__GetMaxSeqResp           *seqs;
    Openim__Sdkws__MsgData__OptionsEntry    e, *list[1];
    const ProtobufCFieldDescriptor         *f;
    const ProtobufCMessageDescriptor       *d;

    f = protobuf_c_message_descriptor_get_field_by_name(msg.base.descriptor,
                                                        "options");
    CHECK(f != NULL && f->label == PROTOBUF_C_LABEL_REPEATED);
    CHECK(f->type == PROTOBUF_C_TYPE_MESSAGE);

    d = f->descriptor;
    CHECK(strcmp(d->name, "openim.sdkws.MsgData.OptionsEntry") == 0);
    CHECK(d->n_fields == 2);
    CHECK(strcmp(d->fields[0].name, "key") == 0 && d->fields[0].id == 1);
    CHECK(strcmp(d->fields[1].name, "value") == 0 && d->fields[1].id == 2);

    openim__sdkws__msg_data__options_entry__init(&e);
    e.key = "a";
    e.value = 1;
    list[0] = &e;
    msg.options = list;
    msg.n_options = 1;
    expect_bytes(&msg, bytes, sizeof(bytes) - 1);

    back = openim__sdkws__msg_data__unpack(NULL, sizeof(bytes) - 1,
                                           (const uint8_t *) bytes);
    CHECK(back != NULL && back->n_options == 1);
    CHECK(strcmp(back->options[0]->key, "a") == 0 && back->options[0]->value);
    openim__sdkws__msg_data__free_unpacked(back, NULL);

    /* an entry may come without its key or value */
    seqs = openim__sdkws__get_max_seq_resp__unpack(NULL, 2,
                                                   (const uint8_t *) "\x0a\x00");
    CHECK(seqs != NULL && seqs->n_maxseqs == 1);
    CHECK(strcmp(seqs->maxseqs[0]->key, "") == 0);
    CHECK(seqs->maxseqs[0]->value == 0);
    openim__sdkws__get_max_seq_resp__free_unpacked(seqs, NULL);
}


static void
check_wrapper(void)
{
    Openim__Sdkws__UserInfoWithEx     info = OPENIM__SDKWS__USER_INFO_WITH_EX__INIT;
    Openim__Protobuf__Int32Value      opt = OPENIM__PROTOBUF__INT32_VALUE__INIT;
    const ProtobufCFieldDescriptor   *f;
    const ProtobufCMessageDescriptor *d;

    f = protobuf_c_message_descriptor_get_field_by_name(info.base.descriptor,
                                                        "globalRecvMsgOpt");
    CHECK(f != NULL && f->type == PROTOBUF_C_TYPE_MESSAGE);

    d = f->descriptor;
    CHECK(strcmp(d->package_name, "openim.protobuf") == 0);
    CHECK(strcmp(d->short_name, "Int32Value") == 0);
    CHECK(d->n_fields == 1 && d->fields[0].id == 1);
    CHECK(strcmp(d->fields[0].name, "value") == 0);

    expect_bytes(&info, "", 0);
    info.globalrecvmsgopt = &opt;
    expect_bytes(&info, "\x3a\x00", 2);
}


static void
check_packed(void)
{
    Openim__Msg__ConversationSeqs   s = OPENIM__MSG__CONVERSATION_SEQS__INIT;
    Openim__Msg__ConversationSeqs  *back;
    int64_t                         seqs[2] = { 1, 2 };

    s.seqs = seqs;
    s.n_seqs = 2;
    expect_bytes(&s, "\x1a\x02\x01\x02", 4);

    back = openim__msg__conversation_seqs__unpack(NULL, 4,
                                       (const uint8_t *) "\x18\x01\x18\x02");
    CHECK(back != NULL && back->n_seqs == 2 && back->seqs[1] == 2);
    openim__msg__conversation_seqs__free_unpacked(back, NULL);
}


int
main(void)
{
    check_optional();
    check_map();
    check_wrapper();
    check_packed();

    puts("conventions hold");

    return 0;
}
