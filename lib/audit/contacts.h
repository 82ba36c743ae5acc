/*
 * Whom tenants have written to, as the books remember them. thread: as the book
 */
#ifndef SP_AUDIT_CONTACTS_H
#define SP_AUDIT_CONTACTS_H

#include "audit/book.h"

struct sp_audit_contact {
    uint64_t hash;
    uint16_t day;
};

/* What is remembered at all. */
struct sp_audit_contacts {
    bool kept;
    bool full;
    int64_t since_ms;
    uint16_t oldest; /* those of an earlier day are forgotten */
};
/* returns: that */
struct sp_audit_contacts sp_audit_book_contacts(const struct sp_audit_book *b);
/* Walks all of them. at: 0 to begin. returns: false at the end */
bool sp_audit_book_contacts_next(const struct sp_audit_book *b, size_t *at,
                                 struct sp_audit_contact *out);
/* Takes one that nobody was told of. returns: false if there is none */
bool sp_audit_book_contacts_changed(struct sp_audit_book *b, struct sp_audit_contact *out);

#endif
