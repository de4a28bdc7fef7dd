import { Command, Option } from 'commander';
import { handlerForms, type NewHandlerFlags } from '../handler-forms.ts';

export const newHandlerCommand = (): Command =>
  new Command('new-handler')
    .description('Write a custom handler to begin with: code/handler.mjs and map.json')
    .argument('<dir>', 'folder to write to; made when it is missing, may be a bundle')
    .addOption(
      new Option('--form <form>', 'class, module (functions), or inference (as in inference.py)')
        .choices(handlerForms)
        .default('class'),
    )
    .option('--json', 'print JSON on standard output', false)
    .addHelpText(
      'after',
      `
Examples:
  $ map-endpoint new-handler my-model
  $ map-endpoint pack my-model -o models/my-model.tar.gz
  $ ALLOW_CUSTOM_CODE=true map-endpoint local --models models

A file that is there already is never overwritten. The contract: docs/handlers.md.`,
    )
    .action(async (dir: string, flags: NewHandlerFlags) => {
      const { runNewHandler } = await import('../new-handler.ts');
      await runNewHandler(dir, flags);
    });
