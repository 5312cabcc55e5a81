from safetune_utils.cli.main import main

main()
