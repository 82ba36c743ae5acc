/*
 * What kind of mail a header announces: the fact message.kind. thread: any
 */
#ifndef SP_MAIL_KIND_H
#define SP_MAIL_KIND_H

#include "mail/header.h"

enum sp_mail_kind {
    SP_KIND_MAIL,
    SP_KIND_AUTO_REPLY, /* RFC 3834 */
    SP_KIND_DSN,        /* RFC 3464 */
    SP_KIND_MDN,        /* RFC 8098 */
    SP_KIND_CALENDAR,   /* RFC 5546 */
    SP_KIND_BULK,       /* List-Id, Precedence */
};

/* returns: the kind; SP_KIND_MAIL when nothing says otherwise */
enum sp_mail_kind sp_mail_kind(const struct sp_header *h);

/* returns: its name in rules and audit, static */
const char *sp_mail_kind_name(enum sp_mail_kind kind);

#endif
