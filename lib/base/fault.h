/*
 * SP_FAULT("queue.sync") marks where disk, memory or a process may fail. In test builds (SP_FAULTS) it is true on the
 * n-th passage that the environment variable SP_FAULT_AT asks for ("name:n", or "*:n" for the n-th of any); in other
 * builds it is the constant false. The names passed are appended to the file of SP_FAULT_LOG, if set. thread: any
 *
 * SP_NONSENSE() says what a role answers instead of the truth: in test builds the signal SIGRTMIN + kind asks for it.
 */
#ifndef SP_BASE_FAULT_H
#define SP_BASE_FAULT_H

#include <stdbool.h>
#include <stdint.h>

enum sp_nonsense {
    SP_NONSENSE_OFF,
    SP_NONSENSE_NOISE,  /* as many other bytes */
    SP_NONSENSE_HALF,   /* the first half */
    SP_NONSENSE_FRAME,  /* no answer at all, but something in its place */
    SP_NONSENSE_ERROR,  /* an error that is none */
    SP_NONSENSE_SILENT, /* nothing */
    SP_NONSENSE_COUNT
};

#ifdef SP_FAULTS
#define SP_FAULT(name)       sp_fault_is_due(name)
#define SP_NONSENSE()        sp_fault_nonsense()
#define SP_NONSENSE_LISTEN() sp_fault_listen()
#else
#define SP_FAULT(name)       false
#define SP_NONSENSE()        SP_NONSENSE_OFF
#define SP_NONSENSE_LISTEN() ((void)0)
#endif

/*
 * Test builds: how far the wall clock is off now, by the environment variable SP_CLOCK_AT: "MONO:OFFSET,..." in
 * milliseconds, of which the last one whose time on the monotonic clock has come holds. Other builds: 0. thread: any
 */
#ifdef SP_FAULTS
#define SP_FAULT_CLOCK(mono_ms) sp_fault_clock_offset_ms(mono_ms)
#else
#define SP_FAULT_CLOCK(mono_ms) ((int64_t)0)
#endif

/* returns: the offset in milliseconds. Use the macro. */
int64_t sp_fault_clock_offset_ms(int64_t mono_ms);

/* returns: whether this passage is to fail. Use the macro. */
bool sp_fault_is_due(const char *name);
/* Takes the signals from now on. Use the macro. */
void sp_fault_listen(void);
/* returns: what is asked for now. Use the macro. */
enum sp_nonsense sp_fault_nonsense(void);

#endif
