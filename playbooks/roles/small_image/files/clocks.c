/* Answers each line with both clocks, the kernel and the boot, as harness/evidence/observers/clocks_probe.py does on a
 * machine with Python: "monotonic_ns realtime_ns kernel boot". Ends with its input.
 */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

static long long clock_ns(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (long long)now.tv_sec * 1000000000 + now.tv_nsec;
}

int main(void)
{
    struct utsname name;
    char kernel[2 * sizeof name.release + 2], boot[64] = "-", line[64];
    uname(&name);
    snprintf(kernel, sizeof kernel, "%s/%s", name.release, name.version);
    for (char *blank = kernel; (blank = strchr(blank, ' ')) != NULL;)
        *blank = '_';
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "r");
    if (file != NULL && fscanf(file, "%63s", boot) != 1)
        strcpy(boot, "-");
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof line, stdin) != NULL)
        printf("%lld %lld %s %s\n", clock_ns(CLOCK_MONOTONIC), clock_ns(CLOCK_REALTIME), kernel, boot);
    return 0;
}
