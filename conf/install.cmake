# Where everything goes: `cmake --install build/release`. For a package or a machine's own service
# configure with -DCMAKE_INSTALL_PREFIX=/usr; then the configuration is in /etc/sluice.
# sluiced looks for its children beside itself, then in ../libexec/sluice.
set(SLUICE_CONFIG_DIR ${CMAKE_INSTALL_FULL_SYSCONFDIR}/sluice)

function(sluice_install_programs destination)
  foreach(program ${ARGN})
    if(TARGET ${program})
      install(TARGETS ${program} RUNTIME DESTINATION ${destination})
    endif()
  endforeach()
endfunction()
sluice_install_programs(${CMAKE_INSTALL_SBINDIR} sluiced)
sluice_install_programs(${CMAKE_INSTALL_BINDIR} sluicectl)
sluice_install_programs(${CMAKE_INSTALL_LIBEXECDIR}/sluice sluice-worker sluice-monitor)

foreach(section 1 5 8)
  file(GLOB pages CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/man/*.${section})
  install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()
install(FILES ${CMAKE_SOURCE_DIR}/README.md ${CMAKE_SOURCE_DIR}/CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})

install(DIRECTORY DESTINATION ${SLUICE_CONFIG_DIR}/conf.d)

# A configuration that is there is never touched. It may come to hold a password one day, so it
# starts out hidden from others.
configure_file(${CMAKE_SOURCE_DIR}/conf/sluice.toml conf/sluice.toml @ONLY)
install(CODE "
  if(EXISTS \"\$ENV{DESTDIR}${SLUICE_CONFIG_DIR}/sluice.toml\")
    message(STATUS \"Kept: \$ENV{DESTDIR}${SLUICE_CONFIG_DIR}/sluice.toml\")
  else()
    file(INSTALL \"${CMAKE_BINARY_DIR}/conf/sluice.toml\" DESTINATION \"${SLUICE_CONFIG_DIR}\"
      PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ)
  endif()")
install(DIRECTORY ${CMAKE_SOURCE_DIR}/conf/examples DESTINATION ${CMAKE_INSTALL_DOCDIR})

configure_file(${CMAKE_SOURCE_DIR}/conf/sluice.service.in conf/sluice.service @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/conf/sluice.service DESTINATION lib/systemd/system)
install(FILES ${CMAKE_SOURCE_DIR}/conf/sluice.sysusers DESTINATION lib/sysusers.d RENAME sluice.conf)
