# The demo as a test: real Prometheus servers, real backends, and a ledger that has to close.
foreach(case "e2e_demo --for 60s" "e2e_demo_restart --for 60s --outage restart"
        "e2e_demo_pause --for 60s --outage pause")
  separate_arguments(case)
  list(POP_FRONT case name)
  add_test(NAME ${name} COMMAND python3 ${CMAKE_CURRENT_LIST_DIR}/demo.py
    --binary ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/tollgate ${case})
  set_tests_properties(${name} PROPERTIES LABELS e2e TIMEOUT 240 RUN_SERIAL TRUE)
endforeach()
