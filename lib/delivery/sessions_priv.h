/*
 * What sessions.c shares with the rest of an attempt.
 */
#ifndef SP_DELIVERY_SESSIONS_PRIV_H
#define SP_DELIVERY_SESSIONS_PRIV_H

#include "delivery/delivery_priv.h"

/* A session that an attempt was the first to see, or that DNS kept from coming about. */
struct sp_session_seen {
    size_t hop;         /* of the route; SIZE_MAX: none, the domain's MX itself could not be had */
    const char *policy; /* of RFC 8460 4.4 */
    const char *result; /* of RFC 8460 4.3 */
    struct sp_bytes ip;
    bool is_look_up; /* whoever comes next sees it himself */
};

/* Notes a session to a host of the attempt's route. seen: copied */
void sp_attempt_note_session(struct sp_attempt *a, const struct sp_session_seen *seen);
/* Writes "sessions" into an event, if there are any: its own, and what others of its domain have left. */
void sp_attempt_write_sessions(struct sp_attempt *a, struct sp_jw *w);
/* That event is whole, or not: those in it are forgotten, or come with the next. */
void sp_attempt_end_sessions(struct sp_attempt *a, bool is_whole);
/* The attempt ends: what it has not written is left for the next of its domain. */
void sp_attempt_leave_sessions(struct sp_attempt *a);

#endif
