/* What oim_sql.c and oim_sql_migrate.c share. */
#ifndef OIM_SQL_INTERNAL_H
#define OIM_SQL_INTERNAL_H

#include "oim_conf.h"

#include <mysql.h>
#include <stddef.h>

/* A connection with our session settings; database may be NULL, read_ms is what one statement may take. NULL: code (0 when it is not the
 * server's) and why say what is wrong. */
MYSQL *oim_sql_connect(const struct oim_conf *conf, const char *database, int read_ms, unsigned *code, char *why, size_t size);

#endif
