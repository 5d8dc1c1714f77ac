/* What oim_sql.c and oim_sql_migrate.c share. */
#ifndef OIM_SQL_INTERNAL_H
#define OIM_SQL_INTERNAL_H

#include "oim_conf.h"

#include <mysql.h>
#include <stddef.h>

/* A connection with our time-outs and session settings; database may be NULL. NULL: code and why say what the server said. */
MYSQL *oim_sql_connect(const struct oim_conf *conf, const char *database, unsigned *code, char *why, size_t size);

#endif
