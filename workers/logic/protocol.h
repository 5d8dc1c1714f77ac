/*
 * Numbers of the protocol that several areas know (constants.md). Pure. Content types of notifications are in notify.h.
 */
#ifndef OIM_LOGIC_PROTOCOL_H
#define OIM_LOGIC_PROTOCOL_H

enum { LOGIC_SESSION_SINGLE = 1, LOGIC_SESSION_WRITE_GROUP, LOGIC_SESSION_GROUP, LOGIC_SESSION_NOTIFICATION };
enum { LOGIC_FROM_USER = 100, LOGIC_FROM_SYSTEM = 200 };                      /* msgFrom */
enum { LOGIC_ROLE_MEMBER = 20, LOGIC_ROLE_ADMIN = 60, LOGIC_ROLE_OWNER = 100 };
enum { LOGIC_GROUP_OK = 0, LOGIC_GROUP_DISMISSED = 2, LOGIC_GROUP_MUTED = 3 }; /* its status */
enum { LOGIC_LEVEL_APP_ADMIN = 2, LOGIC_LEVEL_NOTIFICATION };                  /* appMangerLevel */
enum { LOGIC_RECV_REFUSE = 1, LOGIC_RECV_NO_PUSH };                            /* recvMsgOpt, globalRecvMsgOpt */

#endif
