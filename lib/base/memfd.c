/*
 * One place that makes memfds, so that each is made unexecutable. Landlock does not help here: it looks at paths, and a
 * memfd has none. Older kernels refuse the flag with EINVAL and get a plain one.
 */
#include "base/memfd.h"

#include "base/fault.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL /* Linux 6.3; newer than Debian 12's headers */
#define MFD_NOEXEC_SEAL 0x0008U
#endif

int sp_memfd_new(const char *name)
{
    int fd;

    if (SP_FAULT_ERRNO("memfd.new", EMFILE))
        return -1;
    fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd;
}

bool sp_memfd_is_noexec(void)
{
    int fd = memfd_create("sallyport-try", MFD_CLOEXEC | MFD_NOEXEC_SEAL);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}
