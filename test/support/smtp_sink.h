/*
 * A receiving host on the test's own loop: takes every message, or answers as told, and counts.
 */
#ifndef SP_TEST_SUPPORT_SMTP_SINK_H
#define SP_TEST_SUPPORT_SMTP_SINK_H

#include "io/loop.h"

struct smtp_sink;

struct smtp_sink *smtp_sink_new(struct sp_loop *loop);
void smtp_sink_free(struct smtp_sink *s);
uint16_t smtp_sink_port(const struct smtp_sink *s);
/* The reply to a command ("RCPT", "DOT", "CONNECT"), in place of success. text: static; "" closes; NULL: as usual */
void smtp_sink_reply(struct smtp_sink *s, const char *verb, const char *text);
/* Takes no more connections. */
void smtp_sink_shut(struct smtp_sink *s);
unsigned smtp_sink_sessions(const struct smtp_sink *s);
unsigned smtp_sink_messages(const struct smtp_sink *s);
/* returns: sessions open now */
unsigned smtp_sink_open(const struct smtp_sink *s);

#endif
