from persistence_tests.cli import main

main()
