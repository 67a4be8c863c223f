/*
 * One line an event on standard error: time, level, module, message with key=value pairs.
 * Only main, server, launcher, shim and train log; every other module returns errors.
 * Any thread may call; a line is written with one write().
 */
#ifndef CAM_LOG_H
#define CAM_LOG_H

enum cam_log_level { CAM_LOG_DEBUG, CAM_LOG_INFO, CAM_LOG_WARN, CAM_LOG_ERROR };

/* Lines below this level are dropped; CAM_LOG_INFO until set. */
void cam_log_set_level(enum cam_log_level level);

void cam_log(enum cam_log_level level, const char *module, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
