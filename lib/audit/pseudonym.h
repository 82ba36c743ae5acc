/*
 * Addresses as keyed hashes, for audit lines of organisations that want none in plain. The same address has the same
 * pseudonym under the same key, whatever its case; the domain stays readable. A pseudonym reads "k1f0a93c2:" (which key)
 * and 32 hexadecimal digits. thread: any
 */
#ifndef SP_AUDIT_PSEUDONYM_H
#define SP_AUDIT_PSEUDONYM_H

#include "base/buf.h"
#include "crypt/secret.h"
#include "json/json.h"

#define SP_AUDIT_PSEUDONYM_INFO SP_LIT("sallyport audit addresses 1") /* of the key, for HKDF */
#define SP_AUDIT_PSEUDONYM_LEN  42

/* Appends an address's pseudonym. address: local part and domain */
void sp_audit_pseudonym_format(const struct sp_secret *key, struct sp_bytes address,
                               struct sp_buf *out);

/* text: may have "@domain" behind it. returns: the pseudonym alone, or the empty view if it is none */
struct sp_bytes sp_audit_pseudonym_of(struct sp_bytes text);

/*
 * Finds the next address in a text.
 *
 * from:    where to begin; out: behind the address
 * returns: the address, or the empty view if there is none
 */
struct sp_bytes sp_audit_address_next(struct sp_bytes text, size_t *from);

/* pseudonym: with its NUL */
typedef void (*sp_audit_hidden_fn)(void *arg, struct sp_bytes address, const char *pseudonym);

/*
 * Appends an event with pseudonyms for its addresses: a value that is one becomes {"domain", "h"}, one that stands in a
 * longer text "PSEUDONYM@domain". What others named (message_id, network_message_id) and evidence objects stay as they are.
 *
 * fn:      called for each address that was hidden
 * returns: SP_E_LIMIT
 */
SP_MUST_CHECK enum sp_rc sp_audit_pseudonym_hide(const struct sp_secret *key,
                                                 const struct sp_json *root, sp_audit_hidden_fn fn,
                                                 void *arg, struct sp_buf *out);

#endif
