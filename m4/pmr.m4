# SPDX-License-Identifier: GPL-2.0-or-later

# PMR_REQUIRE(PREFIX, PKG-CONFIG-MODULE, DEBIAN-PACKAGE)
# Like PKG_CHECK_MODULES, but only notes what is missing, so that one run of
# configure names everything (PMR_REQUIRE_DONE).
AC_DEFUN([PMR_REQUIRE], [
	PKG_CHECK_MODULES([$1], [$2], [], [pmr_missing="$pmr_missing
  $2 (Debian: $3)"])
])

AC_DEFUN([PMR_REQUIRE_DONE], [
	AS_IF([test -n "$pmr_missing"],
	      [AC_MSG_ERROR([missing, or too old:$pmr_missing])])
])

# _PMR_FLAGS(VARIABLE, FLAGS-VARIABLE, TEST-MACRO, FLAGS)
# The probe runs with -Werror: clang only warns about a flag it does not know.
AC_DEFUN([_PMR_FLAGS], [
	for pmr_flag in $4; do
		AC_MSG_CHECKING([whether $CC accepts $pmr_flag])
		pmr_saved=$$2
		$2="$$2 -Werror $pmr_flag"
		$3([AC_LANG_PROGRAM()],
		   [AC_MSG_RESULT([yes]); $1="$$1 $pmr_flag"],
		   [AC_MSG_RESULT([no])])
		$2=$pmr_saved
	done
	AC_SUBST([$1])
])

# PMR_CHECK_CFLAGS(VARIABLE, FLAGS), PMR_CHECK_LDFLAGS(VARIABLE, FLAGS)
# Appends to VARIABLE those FLAGS that the compiler, or the linker, accepts.
AC_DEFUN([PMR_CHECK_CFLAGS], [_PMR_FLAGS([$1], [CFLAGS], [AC_COMPILE_IFELSE], [$2])])
AC_DEFUN([PMR_CHECK_LDFLAGS], [_PMR_FLAGS([$1], [LDFLAGS], [AC_LINK_IFELSE], [$2])])
