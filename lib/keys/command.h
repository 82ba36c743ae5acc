/*
 * The commands of `sallyport keys`, as JSON objects: what was asked is planned first, so that its audit event can be made
 * durable before anything changes, then run.
 *
 *     {"command": "keys.list", "address": A, "after": ID, "limit": N}
 *     {"command": "keys.show", "id": ID}
 *     {"command": "keys.import", "data": BASE64, "pin": true}
 *     {"command": "keys.remove", "id": ID, "reason": TEXT}
 *
 * An import by an administrator pins the key: it is trusted because somebody who is named in the audit vouched for it. With
 * "pin": false it must chain to a trust anchor. thread: worker
 */
#ifndef SP_KEYS_COMMAND_H
#define SP_KEYS_COMMAND_H

#include "keys/keys.h"

#define SP_KEYS_COMMAND_REPLY_MAX (8U << 20)
#define SP_KEYS_LIST_MAX          1000

/* What a command needs beside the store. */
struct sp_keys_command_env {
    struct sp_bytes anchors; /* PEM, may be empty; lent until the command is freed */
    const char *scratch_dir; /* for gpg; lent likewise */
    int64_t now_ms;          /* wall clock */
};

struct sp_keys_command;

/*
 * Reads and plans a command.
 *
 * actor:   JSON object of who asks, for the event
 * owner:   the caller, until sp_keys_command_free
 * returns: SP_OK (also for an import that will be refused: its event says so); SP_E_USAGE, SP_E_JSON_SYNTAX,
 *          SP_E_NOT_FOUND (nothing of that id to remove), SP_E_STORE_FAILED
 */
SP_MUST_CHECK enum sp_rc sp_keys_command_new(struct sp_keys *keys,
                                             const struct sp_keys_command_env *env,
                                             struct sp_bytes json, struct sp_bytes actor,
                                             struct sp_keys_command **out, struct sp_err *err);

/* NULL is allowed. */
void sp_keys_command_free(struct sp_keys_command *c);
SP_AUTO_DEFINE(sp_keys_command)

/* returns: the audit event that must be durable before the command is run; empty if it changes nothing. Lent */
struct sp_bytes sp_keys_command_event(const struct sp_keys_command *c);

/*
 * The audit event of a command that failed when it was run, behind its own event.
 *
 * rc:      what sp_keys_command_run returned
 * out:     the event is appended; nothing if the one before needs no second word (a refusal was told, nothing changes)
 */
void sp_keys_command_failed(const struct sp_keys_command *c, enum sp_rc rc, struct sp_buf *out);

/*
 * Runs it.
 *
 * reply:   a JSON object is appended
 * returns: SP_OK; why the import is refused (SP_E_KEYS_FORMAT, SP_E_KEYS_UNUSABLE, SP_E_LIMIT, SP_E_PGP_FAILED);
 *          SP_E_NOT_FOUND; SP_E_STORE_FAILED
 */
SP_MUST_CHECK enum sp_rc sp_keys_command_run(struct sp_keys_command *c, struct sp_buf *reply,
                                             struct sp_err *err);

#endif
