from stimulus.app import main

main()
