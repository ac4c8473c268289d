# `cmake --install` and CPack: a tarball with the release layout (bin, verifier, scripts, units, documents),
# and two Debian packages, the program and its model, so that an update does not carry 90 MB of weights again.
# What is packed is what has been built: packing builds nothing, and least of all the tests.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)
include(GNUInstallDirs)
set(EGPTC_SHARE share/enhanced-gptcache)

install(TARGETS enhanced-gptcache RUNTIME DESTINATION bin COMPONENT program)
install(DIRECTORY verifier DESTINATION ${EGPTC_SHARE} COMPONENT program)
install(DIRECTORY deploy/alerting deploy/grafana deploy/rollback deploy/maintenance deploy/backup deploy/recovery
  DESTINATION ${EGPTC_SHARE}/deploy COMPONENT program USE_SOURCE_PERMISSIONS
  PATTERN "*.py" EXCLUDE)
install(FILES config.yaml config.prod.yaml config.staging.yaml config.dev.yaml
  DESTINATION ${EGPTC_SHARE}/examples COMPONENT program)
install(FILES scripts/fetch_model.sh scripts/deployment_validation.sh
  PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE
  DESTINATION ${EGPTC_SHARE}/scripts COMPONENT program)
install(FILES README.md SECURITY.md CHANGELOG.md LICENSE DESTINATION share/doc/enhanced-gptcache COMPONENT program)
install(FILES deploy/debian/copyright DESTINATION share/doc/enhanced-gptcache COMPONENT program)
install(FILES deploy/debian/copyright DESTINATION share/doc/enhanced-gptcache-model COMPONENT model)
install(FILES docs/operating.md docs/settings.md docs/troubleshooting.md docs/maintenance.md
  docs/deployment-guide.md docs/controls.md DESTINATION share/doc/enhanced-gptcache COMPONENT program)

# The units name the release layout under /opt; a package has its program, settings and data elsewhere.
foreach(unit enhanced-gptcache.service enhanced-gptcache.socket enhanced-gptcache-maintenance@.service
    enhanced-gptcache-maintenance@.timer enhanced-gptcache-backup.service enhanced-gptcache-backup.timer)
  file(READ deploy/systemd/${unit} text)
  string(REPLACE "/opt/enhanced-gptcache/current/bin" "/usr/bin" text "${text}")
  string(REPLACE "/opt/enhanced-gptcache/current/share" "/usr/share" text "${text}")
  string(REPLACE "/opt/enhanced-gptcache/config.prod.yaml" "/etc/enhanced-gptcache/config.yaml" text "${text}")
  string(REPLACE "/opt/backups/" "/var/backups/" text "${text}")
  string(REPLACE "/opt/enhanced-gptcache/logs" "/var/log/enhanced-gptcache" text "${text}")
  string(REPLACE "/opt/enhanced-gptcache" "/var/lib/enhanced-gptcache" text "${text}")
  file(CONFIGURE OUTPUT package/${unit} CONTENT "${text}" @ONLY)
  install(FILES ${CMAKE_BINARY_DIR}/package/${unit} DESTINATION lib/systemd/system COMPONENT program)
endforeach()
# Looked for when it is packed: a fresh clone is configured before scripts/fetch_model.sh has run.
set(model models/all-MiniLM-L6-v2)
install(CODE "
  file(REAL_PATH \"${CMAKE_SOURCE_DIR}/${model}\" model_folder)
  if(EXISTS \"\${model_folder}/model.safetensors\")
    file(INSTALL DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${EGPTC_SHARE}/${model}\" TYPE DIRECTORY
         FILES \"\${model_folder}/\" PATTERN \"*.packed*\" EXCLUDE)
  elseif(CMAKE_INSTALL_COMPONENT STREQUAL \"model\")
    message(FATAL_ERROR \"no model in \${model_folder}: run scripts/fetch_model.sh first\")
  endif()
" COMPONENT model)

set(CPACK_PACKAGE_NAME enhanced-gptcache)
set(CPACK_PACKAGE_VENDOR "Enhanced GPTCache")
set(CPACK_PACKAGE_CONTACT "Enhanced GPTCache maintainers <maintainers@enhanced-gptcache.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "semantic cache in front of language model providers")
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR}/package)
set(CPACK_STRIP_FILES ON)
set(CPACK_THREADS 0)

set(CPACK_ARCHIVE_COMPONENT_INSTALL ON)
set(CPACK_ARCHIVE_PROGRAM_FILE_NAME enhanced-gptcache-${EGPTC_VERSION}-linux-${CMAKE_SYSTEM_PROCESSOR})

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
# Every dpkg reads it; weights do not get smaller by better means anyway.
set(CPACK_DEBIAN_COMPRESSION_TYPE gzip)
set(CPACK_DEBIAN_PACKAGE_SECTION web)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME enhanced-gptcache)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_DEPENDS "adduser, ca-certificates")
set(CPACK_DEBIAN_PROGRAM_PACKAGE_RECOMMENDS "enhanced-gptcache-model")
set(CPACK_COMPONENT_PROGRAM_DESCRIPTION
  "Answers requests for language models from what was answered before, in the same
words or with the same meaning, and passes everything else on. Clients of the
OpenAI interface change nothing but the base URL.")
set(CPACK_DEBIAN_PROGRAM_PACKAGE_CONTROL_EXTRA
  ${CMAKE_SOURCE_DIR}/deploy/debian/postinst ${CMAKE_SOURCE_DIR}/deploy/debian/prerm
  ${CMAKE_SOURCE_DIR}/deploy/debian/postrm)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_MODEL_PACKAGE_NAME enhanced-gptcache-model)
set(CPACK_DEBIAN_MODEL_PACKAGE_ARCHITECTURE all)
set(CPACK_COMPONENT_MODEL_DESCRIPTION "The sentence encoder all-MiniLM-L6-v2 (Apache-2.0) for enhanced-gptcache.")

# The tarball is a release: the program only. The Debian packages are two.
set(CPACK_PROJECT_CONFIG_FILE ${CMAKE_CURRENT_LIST_DIR}/PackageGenerator.cmake)
include(CPack)
