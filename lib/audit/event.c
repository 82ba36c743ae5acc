/*
 * The events as a table, in the order of their objects. Names are nouns of the field and verbs in the past tense, since
 * a line says what has happened. Small enough to be searched from end to end: an event is looked up once a line.
 */
#include "audit/event.h"

static const struct sp_audit_event events[] = {
    {"message.accepted", true, false,
     "a message was taken over, with the decision for each recipient"},
    {"message.refused", true, false, "a whole message was refused by policy"},
    {"message.held", true, false, "recipients of a message were put on hold"},
    {"message.released", true, true, "a hold was lifted"},
    {"message.approved", true, true, "a held message was approved"},
    {"message.recalled", true, false, "held recipients were taken back by the sender or for him"},
    {"message.returned", true, false, "the sender was told that recipients did not get it"},
    {"message.settled", true, false, "no recipient is left to be worked on"},
    {"message.expired", true, false, "the time to deliver it has run out"},
    {"intake.refused", false, false, "a client was not allowed to send"},
    {"intake.throttled", false, false, "a client was told to come later"},
    {"delivery.attempted", true, false, "one attempt for a group of recipients, with its evidence"},
    {"delivery.redirected", true, false, "a message was sent on by another way"},
    {"dsn.sent", true, false, "a delivery status notification was queued"},
    {"dsn.received", true, false, "something came back to a return path of ours"},
    {"portal.deposited", true, false, "a package lies in the portal"},
    {"portal.notified", true, false, "the notice of a package was delivered"},
    {"portal.opened", true, false, "a package was opened"},
    {"portal.downloaded", true, false, "a package or a part of it was downloaded"},
    {"portal.replied", true, false, "the recipient answered from the portal"},
    {"portal.reminded", true, false, "a reminder was sent"},
    {"portal.expired-unread", true, false, "a package expired and nobody had opened it"},
    {"portal.recalled", true, false, "a package was taken back"},
    {"portal.login-failed", false, false, "a proof of identity was wrong"},
    {"content.destroyed", true, false, "the key of a body was destroyed"},
    {"transport.posture-dropped", false, false, "a domain no longer proves what it has proved"},
    {"transport.posture-accepted", false, true, "a lower posture was accepted"},
    {"transport.report-sent", false, false, "a TLS report was sent"},
    {"transport.throttled", false, false, "a site asked for less mail, or broke connections off"},
    {"transport.unreachable", false, false, "no connection to a host came about; it rests"},
    {"transport.recovered", false, false, "a site or host is as before"},
    {"evidence.recorded", false, false, "an object that other lines cite by its digest"},
    {"evidence.renewed", false, false, "an object that was recorded before was shown again"},
    {"policy.published", false, true, "a policy version took effect"},
    {"policy.rolled-back", false, true, "an older policy version took effect again"},
    {"policy.staged", false, true, "a draft is tried beside the live policy"},
    {"policy.unstaged", false, false, "a draft is no longer tried"},
    {"policy.proposed", false, true, "a policy version waits for a second person"},
    {"policy.approved", false, true, "a second person approved a policy version"},
    {"list.changed", false, false, "a list that rules use was changed"},
    {"config.changed", false, false, "the configuration was changed"},
    {"config.refused", false, false, "a configuration was refused, the one before goes on"},
    {"tenant.changed", false, false, "a tenant was changed"},
    {"key.imported", false, false, "a recipient's key was stored"},
    {"key.approved", false, true, "a recipient's key was approved"},
    {"key.refused", false, false, "a key was not stored, and why"},
    {"key.rotated", false, false, "a key of ours was replaced"},
    {"key.expired", false, false, "a key passed its end"},
    {"key.exported", false, false, "a key was given out"},
    {"key.removed", false, false, "a recipient's key was removed"},
    {"preference.changed", false, false, "a recipient's preference was changed"},
    {"admin.logged-in", false, false, "an administrator logged in"},
    {"admin.login-failed", false, false, "an administrator failed to log in"},
    {"admin.logged-out", false, false, "an administrator logged out"},
    {"admin.role-changed", false, false, "an administrator's rights were changed"},
    {"admin.body-viewed", true, true, "an administrator read a message"},
    {"admin.acted", false, false, "any other act of an administrator"},
    {"audit.checkpoint", false, false, "root and head of all lines so far, signed"},
    {"audit.started", false, false, "the ledger has begun to write"},
    {"audit.continued", false, false, "a file begins where another has ended"},
    {"audit.stopped", false, false, "the ledger has ended in good order"},
    {"audit.gap", false, false, "something could not be recorded, and what"},
    {"audit.exported", false, false, "lines were handed out"},
    {"audit.revealed", false, true, "a pseudonym was resolved"},
    {"audit.sink-behind", false, false, "a sink does not keep up"},
    {"audit.sink-recovered", false, false, "a sink has caught up"},
    {"audit.held-legal", false, true, "lines were put under a legal hold"},
    {"audit.purged", false, true, "lines were removed at the end of their retention"},
    {"detector.updated", false, false, "the detector's version changed"},
    {"detector.failed", false, false, "a message could not be examined"},
    {"clock.changed", false, false, "the wall clock was set"},
    {"clock.unsynchronised", false, false, "the wall clock has lost its source"},
    {"backup.made", false, false, "a backup was made"},
    {"backup.restored", false, true, "a backup was restored"},
};

const struct sp_audit_event *sp_audit_event_find(struct sp_bytes name)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(events); i++) {
        if (name.len > 0 && events[i].name[0] == (char)name.ptr[0] &&
            sp_bytes_eq(name, sp_bytes_cstr(events[i].name)))
            return &events[i];
    }
    return NULL;
}

const struct sp_audit_event *sp_audit_event_at(size_t i)
{
    return i < SP_ARRAY_LEN(events) ? &events[i] : NULL;
}
