/*
 * Real tools in tests: a folder of the test's own, commands run in it, files in and out. Failures fail the test.
 */
#ifndef SP_TEST_SUPPORT_TOOLS_H
#define SP_TEST_SUPPORT_TOOLS_H

#include "base/buf.h"

/* owner: the caller, to tool_dir_free. returns: a new folder with a short path */
char *tool_dir_new(void);
/* Removes it with all that lies in it. */
void tool_dir_free(char *dir);

/* Runs a shell command in dir; its output goes to dir/log. returns: the exit code, 128 + signal if killed */
int tool_run(const char *dir, const char *fmt, ...) SP_PRINTF(2, 3);

/* Runs it and fails the test, showing the log, unless it ends with 0. */
void tool_must(const char *dir, const char *fmt, ...) SP_PRINTF(2, 3);

void tool_write(const char *dir, const char *name, struct sp_bytes data);
/* Appends the file's bytes. */
void tool_read(const char *dir, const char *name, struct sp_buf *out);

#endif
