module bench;
  logic        clk = 0;
  logic        rst, push, pop;
  logic [15:0] push_data, top_data;
  logic [2:0]  depth;

  return_stack dut (
    .clk(clk), .rst(rst), .push(push), .pop(pop), .push_data(push_data), .top_data(top_data), .depth(depth)
  );

  always #5 clk = ~clk;

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  // entries by the number of pushes below them; those from bottom to stack_top - 1 are valid
  logic [15:0] model[0:8191];
  int          stack_top, bottom;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic outputs;
    check("depth", depth, stack_top - bottom);
    check("top_data", top_data, stack_top == bottom ? 16'd0 : model[stack_top-1]);
  endtask

  task automatic cycle(input logic add, input logic remove);
    push = add;
    pop = remove;
    push_data = 16'(random());
    #1 outputs();
    if (rst) begin
      stack_top = 0;
      bottom = 0;
    end else begin
      if (remove && stack_top > bottom) stack_top--;
      if (add) begin
        model[stack_top] = push_data;
        stack_top++;
        if (stack_top - bottom > 4) bottom++;
      end
    end
    @(negedge clk);
    outputs();
  endtask

  initial begin
    {push, pop, push_data} = '0;
    rst = 1;
    @(negedge clk);
    stack_top = 0;
    bottom = 0;
    cycle(1, 0);
    rst = 0;
    cycle(0, 1);
    repeat (7) cycle(1, 0);
    cycle(1, 1);
    repeat (6) cycle(0, 1);
    cycle(1, 1);
    cycle(1, 1);
    cycle(0, 1);
    cycle(0, 1);
    repeat (3) cycle(1, 0);
    rst = 1;
    cycle(1, 1);
    rst = 0;
    repeat (2) cycle(0, 0);
    repeat (4000) begin
      rst = random() % 128 == 0;
      cycle(1'(random()), 1'(random()));
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
