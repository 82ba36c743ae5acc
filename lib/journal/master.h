/*
 * Another master key, in steps of which each is durable before the next: at every moment the key file and the root file
 * (crypt/root.h) that a start finds give the root secret, and a change that was cut off is ended by the next one.
 * thread: any
 */
#ifndef SP_JOURNAL_MASTER_H
#define SP_JOURNAL_MASTER_H

#include "base/clock.h"
#include "crypt/secret.h"
#include "journal/io.h"

/*
 * Puts a new random key in the place of the file `name`; the old key opens nothing any more, and its bytes are overwritten.
 *
 * io:      of the folder that it lies in
 * returns: SP_E_CRYPT_KEY if what is there is no key or does not open its root file; SP_E_IO: nothing is lost, try again
 */
SP_MUST_CHECK enum sp_rc sp_journal_master_rotate(const struct sp_journal_io *io, const char *name,
                                                  const struct sp_random *random,
                                                  struct sp_err *err);

/*
 * The same in two halves, for a key that comes from elsewhere: first the root file opens under the present key and the
 * next one; once the next one is the present, under it alone.
 *
 * name:    that the root file is named after
 * next:    NULL for the second half
 * returns: as above
 */
SP_MUST_CHECK enum sp_rc sp_journal_master_admit(const struct sp_journal_io *io, const char *name,
                                                 const struct sp_secret *present,
                                                 const struct sp_secret *next,
                                                 const struct sp_random *random,
                                                 struct sp_err *err);

#endif
