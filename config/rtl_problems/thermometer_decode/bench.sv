module bench;
  logic [14:0] thermometer;
  logic [3:0]  level;
  logic        bubble;

  thermometer_decode dut (.thermometer(thermometer), .level(level), .bubble(bubble));

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  int ones;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic try(input logic [14:0] code);
    thermometer = code;
    ones = 0;
    for (int i = 0; i < 15; i++) if (((code >> i) & 15'd1) == 15'd1) ones++;
    #1;
    check("level", level, ones);
    check("bubble", bubble, (code & (code + 15'd1)) != 15'd0);
  endtask

  initial begin
    for (int n = 0; n < 16; n++) try(15'((32'd1 << n) - 1));
    for (int i = 0; i < 15; i++) begin
      try(15'(32'd1 << i));
      try(~15'(32'd1 << i));
    end
    repeat (1000) try(15'(random()));
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
