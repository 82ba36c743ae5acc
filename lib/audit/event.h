/*
 * The closed list of audit events. An event that is not on it is an error: readers must be able to know them all, so a
 * new one is a change of the schema (SP_AUDIT_SCHEMA). thread: any
 */
#ifndef SP_AUDIT_EVENT_H
#define SP_AUDIT_EVENT_H

#include "base/bytes.h"

#define SP_AUDIT_SCHEMA 1

struct sp_audit_event {
    const char *name;    /* "message.accepted" */
    bool of_message;     /* names the message that it is about */
    bool reason_needed;  /* somebody did it by hand: names actor and reason */
    const char *meaning; /* one sentence for the reference */
};

/* returns: the row, static, or NULL if there is no such event */
const struct sp_audit_event *sp_audit_event_find(struct sp_bytes name);

/* Walks the list. returns: row i, or NULL past the end */
const struct sp_audit_event *sp_audit_event_at(size_t i);

#endif
