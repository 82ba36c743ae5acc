/*
 * What the sealer writes: sealed chunks under a key of their own, in the file that the relay opened; no plaintext header
 * ever lies in a file. With a DKIM key the message is signed as it passes, and its signature is put in front.
 */
#ifndef GATEWAY_SEALER_OUTPUT_H
#define GATEWAY_SEALER_OUTPUT_H

#include "content/content.h"
#include "dkim/sign.h"
#include "seal/stream.h"

struct sealer_output {
    struct sp_id id;
    int fd;
    struct sp_content_sink file;
    struct sp_content_writer *writer;
    struct sp_dkim_sign *dkim; /* NULL: no signature */
    bool in_memory;            /* the writer still gathers */
    struct sp_err *err;
};

/* dkim: taken, may be NULL. fd: lent until clear. err: gets the detail of failures */
void sealer_output_init(struct sealer_output *o, const struct sp_id *id, int fd,
                        struct sp_dkim_sign *dkim, struct sp_err *err);
void sealer_output_clear(struct sealer_output *o);

/* returns: where the message is to be written */
struct sp_seal_sink sealer_output_sink(struct sealer_output *o);

/*
 * Ends the message.
 *
 * content: the result; its descriptor is fd's duplicate, the caller's to clear
 * sha256:  of the plaintext of all
 */
SP_MUST_CHECK enum sp_rc sealer_output_finish(struct sealer_output *o, struct sp_content *content,
                                              uint8_t sha256[SP_SHA256_LEN]);

#endif
