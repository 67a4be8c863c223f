#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static atomic_int g_level = CAM_LOG_INFO;

void cam_log_set_level(enum cam_log_level level)
{
    atomic_store(&g_level, (int)level);
}

void cam_log(enum cam_log_level level, const char *module, const char *format, ...)
{
    static const char *const LEVELS[] = {"debug", "info", "warn", "error"};
    if ((int)level < atomic_load(&g_level)) {
        return;
    }
    char line[2048];
    struct timespec now;
    struct tm utc;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &utc);
    size_t used = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &utc);
    int more = snprintf(line + used, sizeof line - used, ".%03ldZ %-5s %s: ",
                        now.tv_nsec / 1000000, LEVELS[level], module);
    used += more > 0 ? (size_t)more : 0;
    va_list args;
    va_start(args, format);
    more = vsnprintf(line + used, sizeof line - used - 1, format, args);
    va_end(args);
    used += more > 0 ? (size_t)more : 0;
    if (used > sizeof line - 2) {
        used = sizeof line - 2;
    }
    line[used++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line, used); /* nowhere to report a failure to */
    (void)ignored;
}
