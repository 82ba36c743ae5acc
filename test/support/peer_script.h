/*
 * Peer scripts: an SMTP story as text (test/scripts/NAME.peer).
 *
 *     M: server tls auth              the machine under test and its settings; the rest is the peer
 *     C: EHLO client.example          a line of the client's; \r \n \0 \t \\ \xNN are bytes, a last \c means no CRLF behind it
 *     S: 250 *                        a line of the server's; of the machine's a whole reply, its lines joined by "|"
 *     E: mail <a@b.example> *         the next event that matches, skipping others
 *     N: data *                       no event so far matches
 *     T: 5m                           the clock moves (s, m, h)
 *     D: quit                         the driver does something (see the runner)
 *     X:                              nothing more has been said than what was expected
 *
 * A * in an expectation matches any text; lines that begin with # are notes. Lines of the peer that follow one another
 * are fed as one piece, in the way that the mode says.
 */
#ifndef SP_TEST_SUPPORT_PEER_SCRIPT_H
#define SP_TEST_SUPPORT_PEER_SCRIPT_H

#include "base/buf.h"

/* How the peer's bytes are cut. */
enum peer_cut {
    PEER_WHOLE,
    PEER_BYTES,
    PEER_RANDOM,
};

/* What a script drives: one of the two machines with a driver of the test's. */
struct peer_ops {
    /* settings: the words behind the machine's name */
    void *(*start)(struct sp_bytes settings);
    void (*stop)(void *m);
    /* Takes bytes of the peer's; keeps what it can't use yet. */
    void (*feed)(void *m, struct sp_bytes bytes);
    /* Cuts the next thing said off the machine's output: one line of text. returns: false if there is none */
    bool (*said)(void *m, struct sp_buf *line);
    void (*act)(void *m, struct sp_bytes what);
    void (*pass)(void *m, int64_t ms);
    /* returns: the log of events, a line each */
    struct sp_bytes (*events)(void *m);
};

/*
 * Runs a script.
 *
 * peer:    'C' if the script's C: lines are fed (a server is tested), 'S' for a client
 * seed:    for PEER_RANDOM
 * failure: what went wrong, NUL-terminated
 * returns: whether the story went as told
 */
bool peer_script_run(const char *path, const struct peer_ops *ops, enum peer_cut cut, uint64_t seed,
                     char failure[1024]);

/* returns: the machine's name in the script's M: line ("server", "client"); '?' if there is none */
char peer_script_kind(const char *path);

/* returns: whether text matches a pattern with * */
bool peer_match(struct sp_bytes pattern, struct sp_bytes text);

#endif
