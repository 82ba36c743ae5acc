/*
 * A directory that speaks LDAP (RFC 4511), as a source of entries. Always under TLS: ldaps:// from the start, ldap:// by StartTLS,
 * and the server's certificate must name it. thread: one that may wait; never a loop's
 */
#ifndef SP_ROSTER_LDAP_H
#define SP_ROSTER_LDAP_H

#include "roster/walk.h"

struct sp_roster_ldap;

/*
 * Connects to the first of its servers that can be had, and logs in. From now on the time for all questions runs.
 *
 * ca:       file of authorities
 * password: of d->bind_dn; not empty if there is one
 * returns:  SP_OK, SP_E_DENIED if the log-in is refused (no other server is then tried: too many tries lock accounts),
 *           or SP_E_IO with what the last server had to say
 * owner:    the caller closes *out
 */
SP_MUST_CHECK enum sp_rc sp_roster_ldap_open(const struct sp_directory *d, const char *ca,
                                             struct sp_bytes password, struct sp_roster_ldap **out,
                                             struct sp_err *err);
void sp_roster_ldap_close(struct sp_roster_ldap *l);

/* returns: it, as a source; lent */
const struct sp_roster_source *sp_roster_ldap_source(const struct sp_roster_ldap *l);

#endif
