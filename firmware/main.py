from kanhu_hub.app import main

main()
