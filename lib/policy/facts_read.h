/*
 * The facts of a message, from the record that is kept of a decision (the accept record's `facts`, and what the ledger keeps).
 * thread: any
 */
#ifndef SP_POLICY_FACTS_READ_H
#define SP_POLICY_FACTS_READ_H

#include "base/arena.h"
#include "json/json.h"
#include "policy/facts.h"

/*
 * Reads all but the recipient's own facts, which stay pending; the others that the record lacks are absent.
 *
 * record: an object
 * out:    wholly set; texts and arrays are copies in arena
 */
void sp_facts_read_record(const struct sp_json *record, struct sp_arena *arena,
                          struct sp_facts *out);

/* The same, of a record as text. returns: SP_OK, SP_E_LIMIT or SP_E_JSON_SYNTAX */
SP_MUST_CHECK enum sp_rc sp_facts_read(struct sp_bytes text, struct sp_arena *arena,
                                       struct sp_facts *out);

/* Sets the facts that a list names to unknown. names: an array of texts, or NULL */
void sp_facts_read_unknown(const struct sp_json *names, struct sp_facts *out);

#endif
